"""launcher.py with fake nodes: a supervisor that this starts, and its nodes, run this file too."""

import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import launcher
from tests.launcher import fake_node

launcher.SELF = Path(__file__)
sys.modules["actors.node"] = fake_node

if __name__ == "__main__":
    # Whoever runs the tests in the background of a shell has made us ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(launcher.main())
