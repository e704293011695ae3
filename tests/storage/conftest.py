"""Directories for LMDB: in memory where there is plenty of it, so that syncs cost nothing."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from storage.environment import free_bytes

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 1 << 30


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory that is gone after the test."""
    with TemporaryDirectory(dir=fast_place()) as name:
        yield Path(name)


def fast_place() -> Path | None:
    """Where files are quickest; None lets the system choose."""
    is_usable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    return MEMORY if is_usable and free_bytes(MEMORY) > ENOUGH_BYTES else None
