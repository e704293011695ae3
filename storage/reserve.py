"""What is left free of the disk on purpose, and a half of it that is ours whoever fills the rest.

What was let in before the disk was full still has to be written, for votes and terms come behind it
(O1). The half is a file; when there is no other space left it is emptied.
"""

import os
from contextlib import suppress
from pathlib import Path

from storage.environment import free_bytes


class Reserve:
    """So many bytes of the disk that the file lies on."""

    def __init__(self, file: Path, size: int) -> None:
        self._file = file
        self._size = size
        self._was_released = False
        self._held = size // 2 if file.exists() and file.stat().st_blocks * 512 >= size // 2 else 0

    def is_left(self) -> bool:
        """Whether nobody has touched it; once it was released, whether twice as much is free.

        Else nodes on one disk would take what they have just given up for space that others made.
        """
        wanted = 2 * self._size if self._was_released else self._size
        return self._held + free_bytes(self._file.parent) >= wanted

    def refill(self) -> None:
        """Hold a half of it again, once all of it is free."""
        if self._held or not self.is_left():
            return
        with suppress(OSError), self._file.open("ab") as file:  # somebody else may be faster
            os.posix_fallocate(file.fileno(), 0, self._size // 2)
            self._held = self._size // 2
            self._was_released = False

    def release(self) -> bool:
        """Give the half that is held to whoever writes next; whether there was one."""
        if not self._held:
            return False
        os.truncate(self._file, 0)
        self._held = 0
        self._was_released = True
        return True
