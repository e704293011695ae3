"""What a command says where a package is missing that Kvorum needs; imports nothing but Python's.

A program that imports Kvorum gets the ModuleNotFoundError itself.
"""

import sys
from typing import NoReturn

OURS = {"actors", "kv", "launch", "messages", "raft", "storage"}


def end_without(missing: ModuleNotFoundError) -> NoReturn:
    """End the command with one sentence; what is missing of our own is our fault: raise it."""
    if missing.name is None or missing.name.partition(".")[0] in OURS:
        raise missing
    sys.exit(
        f"kvorum needs the package {missing.name}, which this Python does not have:"
        " run `make env` and use .venv/bin/python, or `pip install .`"
    )
