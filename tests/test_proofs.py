"""The heavy proofs, each run as the command that the README gives."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SLICES = 6  # enough pieces for several workers to share; each costs one start of Python


@pytest.mark.parametrize("piece", range(SLICES))
def test_no_seed_breaks_a_law_of_raft(request: pytest.FixtureRequest, piece: int) -> None:
    """Safety after every event, liveness after healing, in every simulated world.

    A process of its own keeps the simulation free of coverage, which would slow it several times.
    """
    seeds: int = request.config.getoption("--seeds")
    first, last = seeds * piece // SLICES, seeds * (piece + 1) // SLICES
    if first < last:
        run("verify.simulate", f"--seeds={last - first}", f"--from={first}")


@pytest.mark.parametrize("piece", range(SLICES))
def test_no_seed_breaks_a_law_of_whole_nodes(request: pytest.FixtureRequest, piece: int) -> None:
    """Linearizable and exactly once, for every clerk, whatever strikes; half as many worlds."""
    seeds: int = request.config.getoption("--seeds") // 2
    first, last = seeds * piece // SLICES, seeds * (piece + 1) // SLICES
    if first < last:
        run("verify.simulate", "--nodes", f"--seeds={last - first}", f"--from={first}")


def test_every_planted_bug_is_caught(request: pytest.FixtureRequest) -> None:
    """A proof that cannot fail proves nothing."""
    if not request.config.getoption("--mutants"):
        pytest.skip("planted bugs take a minute: ask with --mutants")
    run("tests.mutants")


def run(module: str, *arguments: str) -> None:
    """Run one of our commands; its words are the failure's message."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        pytest.fail(f"{' '.join(command[1:])}\n{done.stdout}", pytrace=False)
