"""Plant one bug in a copy of the source and see who catches it: tests first, then worlds."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.mutants.mutant import SIMULATION, Mutant, bugged, plant

ROOT = Path(__file__).parent.parent.parent
COPIED = ("messages", "raft", "kv", "storage", "verify", "bench", "tests", "docs", "pyproject.toml")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "mutants", "test_mutants.py", "test_tidy.py")

PYTEST = ("pytest", "-x", "-q", "-p", "no:cacheprovider")
WITHOUT_PLUGINS = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # loading them takes longer than a test
TESTS = ("tests/paper", "tests/unit", "tests/test_scenarios.py")
TEST_SECONDS_MAX = 180
WORLD_SECONDS_MAX = 5


class Outcome(Enum):
    """How a command ended."""

    PASSED = "passed"
    FAILED = "failed"
    HUNG = "hung"  # was cut off at its deadline: a bug that stops the world is noticed too


class Verdict(NamedTuple):
    """Who caught a mutant, or nobody, and how long the hunt took."""

    mutant: Mutant
    catcher: str | None
    seconds: float


class BrokenHuntError(Exception):
    """A command failed for a reason that says nothing about any mutant."""


def copy_source(folder: Path) -> Path:
    """The source as it stands, without what judges neither raft/ nor messages/."""
    tree = folder / "kvorum"
    tree.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tree / name, ignore=LEFT_OUT)
        else:
            shutil.copy2(source, tree / name)
    return tree


def check_unbugged(tree: Path, mutants: Sequence[Mutant], seeds_first: int) -> None:
    """Let each bug have its place, and the expected catchers find nothing without it."""
    for mutant in mutants:
        bugged(mutant, (tree / mutant.file).read_text())
    catchers = {mutant.catcher for mutant in mutants}
    nodes = sorted(catchers - {SIMULATION})
    if nodes and _run_tests(tree, *nodes) is not Outcome.PASSED:
        raise BrokenHuntError("an expected catcher fails without any bug")
    if SIMULATION in catchers and _run_worlds(tree, seeds_first) is not Outcome.PASSED:
        raise BrokenHuntError("the simulation fails without any bug")


def hunt(original: Path, mutant: Mutant, seeds_first: int, seeds_max: int) -> Verdict:
    """Let the expected catcher try, and only if it fails every test, then very many worlds."""
    started = time.monotonic()
    with TemporaryDirectory(prefix="kvorum-mutant-") as folder:
        tree = shutil.copytree(original, Path(folder) / "kvorum")
        plant(mutant, tree)
        catcher = _expected_catcher(mutant, tree, seeds_first)
        if catcher is None:
            catcher = _other_catcher(original, tree, seeds_max)
    return Verdict(mutant, catcher, time.monotonic() - started)


def _expected_catcher(mutant: Mutant, tree: Path, seeds: int) -> str | None:
    if mutant.catcher == SIMULATION:
        outcome = _run_worlds(tree, seeds)
    else:
        outcome = _run_tests(tree, mutant.catcher)
    if outcome is Outcome.PASSED:
        return None
    return mutant.catcher if outcome is Outcome.FAILED else f"{mutant.catcher} (hung)"


def _other_catcher(original: Path, tree: Path, seeds: int) -> str | None:
    if _run_tests(tree, *TESTS) is not Outcome.PASSED:
        if _run_tests(original, *TESTS) is not Outcome.PASSED:
            raise BrokenHuntError("the tests fail without any bug")
        return "another test"
    if _run_worlds(tree, seeds) is not Outcome.PASSED:
        return f"{SIMULATION} of {seeds} worlds"
    return None


def _run_tests(tree: Path, *nodes: str) -> Outcome:
    return _run(tree, TEST_SECONDS_MAX, *PYTEST, *nodes)


def _run_worlds(tree: Path, seeds: int) -> Outcome:
    return _run(tree, seeds * WORLD_SECONDS_MAX, "verify.simulate", "--jobs=1", f"--seeds={seeds}")


def _run(tree: Path, seconds_max: int, *command: str) -> Outcome:
    try:
        done = subprocess.run(
            (sys.executable, "-B", "-m", *command),
            cwd=tree,
            env=os.environ | WITHOUT_PLUGINS,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds_max,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome.HUNG
    if done.returncode not in {0, 1}:  # such as 4, pytest's for a test that does not exist
        raise BrokenHuntError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
    return Outcome.FAILED if done.returncode else Outcome.PASSED
