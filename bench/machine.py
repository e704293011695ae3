"""What a benchmark ran on, as a reader of its figures needs to know it."""

import datetime as dt
import os
import platform
from pathlib import Path


def facts() -> list[str]:
    """Date, machine, system and Python, a line each."""
    today = dt.datetime.now(tz=dt.UTC).date()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return [
        f"{today.isoformat()}; {os.cpu_count()} cores of {_processor()}, {memory:.0f} GB of memory",
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
