"""What `wipe` removes: all that a cluster has left on the disk, and nothing else."""

import shutil
from collections.abc import Iterable
from pathlib import Path

from launch import record


def leftovers(data: Path, names: Iterable[str]) -> list[Path]:
    """The nodes' directories and logs, and the launcher's own files."""
    wanted = [data / name for name in names]
    wanted += [data / f"{name}.log{old}" for name in (*names, "launcher") for old in ("", ".1")]
    wanted += [data / name for name in (record.RECORD, record.SOCKET, record.LOCK)]
    return [path for path in wanted if path.exists()]


def remove(data: Path, paths: Iterable[Path]) -> None:
    """Remove them, and the directory if that leaves it empty."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if data.exists() and not any(data.iterdir()):
        data.rmdir()
