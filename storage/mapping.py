"""The pages of an LMDB file that this process has read: they count as its memory until let go.

They are the kernel's cache, which it takes back when it must; but a flush reads pages all over the
file, the kernel maps 15 more around each, and so a node would seem to need as much memory as it has
data. Where the system does not tell where the file is mapped, nothing is let go.
"""

import ctypes
from mmap import MADV_DONTNEED
from pathlib import Path

MAPS = Path("/proc/self/maps")


class Mapping:
    """Where a file of an open environment is mapped; LMDB never moves it, as its size is fixed."""

    def __init__(self, file: Path) -> None:
        self._start, self._end = _find(file)
        self._madvise = ctypes.CDLL(None, use_errno=True).madvise
        self._madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

    def let_go(self, size: int) -> None:
        """Unmap the first bytes; whoever reads there again finds them as they are in the file."""
        length = min(size, self._end - self._start)
        if length and self._madvise(self._start, length, MADV_DONTNEED):
            raise OSError(ctypes.get_errno(), "madvise")


def _find(file: Path) -> tuple[int, int]:
    """By inode: a path may be told in other words."""
    inode = file.stat().st_ino
    if MAPS.exists():
        for line in MAPS.read_text(errors="replace").splitlines():
            place, _, _, _, number, *path = line.split(maxsplit=5)
            if int(number) == inode and path and path[0].endswith(file.name):
                start, end = place.split("-")
                return int(start, 16), int(end, 16)
    return 0, 0
