"""One node in the foreground, as `launcher.py node` runs it, without what that needs itself.

python -m tests.cluster.one_node NAME CONFIG DATA PARENT
"""

import sys
from pathlib import Path

from actors.config import load
from actors.node import run
from launch.parent import end_with

if __name__ == "__main__":
    name, config, data, parent = sys.argv[1:]
    end_with(int(parent))
    sys.exit(run(load(Path(config)), name, Path(data)))
