"""Directories for LMDB: in memory where there is plenty of it, so that syncs cost nothing."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from storage.environment import Opened, free_bytes, open_node
from tests.smalldisk import mounted
from tests.storage.fakes import DISK_BYTES, IDENTITY

MEMORY = Path("/dev/shm")
ENOUGH_BYTES = 1 << 30


@pytest.fixture
def directory() -> Iterator[Path]:
    """An empty directory that is gone after the test."""
    with TemporaryDirectory(dir=fast_place()) as name:
        yield Path(name)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which only root may mount."""
    with mounted(tmp_path / "disk", DISK_BYTES) as disk:
        yield disk


@pytest.fixture
def opened(small_disk: Path) -> Iterator[Opened]:
    """A node whose disk is small."""
    node = open_node(small_disk / "n1", IDENTITY)
    yield node
    node.close()


def fast_place() -> Path | None:
    """Where files are quickest; None lets the system choose."""
    is_usable = MEMORY.is_dir() and os.access(MEMORY, os.W_OK)
    return MEMORY if is_usable and free_bytes(MEMORY) > ENOUGH_BYTES else None
