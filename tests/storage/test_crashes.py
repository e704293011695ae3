"""Crashes: whatever was promised is there, and nothing is half there."""

import subprocess
import sys
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from storage.boot import load_saved
from storage.environment import open_node
from storage.log import LogStore
from storage.state import StateStore
from tests.storage.crash import CASES
from tests.storage.fakes import IDENTITY
from tests.storage.victim import effect, steps

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.parametrize("case", CASES)
def test_a_crash_at_any_line_leaves_the_old_or_the_new(case):
    """D4, D10, D12: first start, write, flush and install, cut off at every fifth line they run.

    crash.py tells how to cut them off at every line, which takes a minute.
    """
    command = [sys.executable, "-m", "tests.storage.crash", case, "5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("seed", range(10))
def test_a_kill_takes_nothing_that_was_promised(seed, directory):
    """D1, D2, D3: SIGKILL in the middle of writes, with a flush under way in another thread."""
    written, flushed = kill_after(Random(seed).randint(1, 60), directory, seed)

    opened = open_node(directory, IDENTITY)
    log, state = LogStore(opened.log), StateStore(opened.state)
    done = list(islice(steps(seed), written + 1))
    before = done[-2].after if written else done[-1].after
    loaded = log.load(0)
    assert loaded in (before, done[-1].after)
    assert load_saved(log, state, 0).last_applied == state.applied_index >= flushed

    expected = dict(effect(index) for index in range(1, state.applied_index + 1))
    values = {key: value for key, value in expected.items() if value is not None}
    assert dict(state.scan(b"", None, 1000)) == values
    state.close()
    opened.close()


def kill_after(promises: int, directory: Path, seed: int) -> tuple[int, int]:
    """The last promises a victim made: how many writes it wrote, and how far its state reached."""
    command = [sys.executable, "-m", "tests.storage.victim", str(directory), str(seed)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout
        lines = list(islice(victim.stdout, promises))
        victim.kill()
        lines += [line for line in victim.stdout if line.endswith("\n")]
    promised = {"log": 0, "state": 0}
    for line in lines:
        kind, number = line.split()
        promised[kind] = int(number)
    return promised["log"], promised["state"]
