"""The benchmark of the core runs; what it measures depends on the machine."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_benchmark_prints_both_tables():
    """README: `python -m bench.core` shows how fast a cluster in one process and the codec are."""
    command = [sys.executable, "-m", "bench.core", "--quick"]

    table = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert [line.split()[0] for line in table.splitlines()[2:5]] == ["1", "64", "1,000"]
    assert "AppendEntries of 1,000" in table
