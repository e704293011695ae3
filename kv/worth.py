"""When to try again what was not worth it lately."""

SKIPPED_MAX = 64
"""After so many times it is tried again, however often it was in vain."""


class Worth:
    """Of something that pays where it mostly pays, and costs where it does not."""

    def __init__(self) -> None:
        self._skip = 0  # so many times are left out
        self._skip_next = 1

    def is_tried(self) -> bool:
        """Whether this time; asked once for each, and learned from if it is."""
        if self._skip:
            self._skip -= 1
            return False
        return True

    def learn(self, *, was_worth_it: bool) -> None:
        """In vain once more: twice as many times are left out; worth it once: none is."""
        if was_worth_it:
            self._skip_next = 1
        else:
            self._skip, self._skip_next = self._skip_next, min(2 * self._skip_next, SKIPPED_MAX)
