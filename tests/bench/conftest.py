"""What the benchmarks' tests share: a small cluster, and a way to run a script as a user does."""

import os
import subprocess
import sys

import pytest

from kvorum import Cluster

SMOKE_S = 120.0  # it takes ten seconds where nothing else runs


@pytest.fixture(scope="package")
def cluster():
    """One node is driven as three are."""
    with Cluster(nodes=1) as made:
        yield made


@pytest.fixture
def run():
    """Run `python -m ...` to its end: exit code, output, what it complained of."""

    def run(*words: str, **environment: str):
        command = [sys.executable, "-m", *words]
        done = subprocess.run(
            command,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=SMOKE_S,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run
