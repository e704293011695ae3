"""The benchmark of the storage runs; what it measures depends on the disk."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_benchmark_prints_its_table(directory):
    """docs/storage.md: `python -m bench.storage` measures log, flush, opening and snapshots."""
    command = [sys.executable, "-m", "bench.storage", "--quick", "--directory", str(directory)]

    table = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert [line.split()[0] for line in table.splitlines()] == [
        "fdatasync",
        *["log"] * 3,
        *["flush"] * 2,
        "release",
        "open",
        *["read", "stage", "install"],
    ]
