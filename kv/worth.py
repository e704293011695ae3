"""When to try again what was not worth it lately."""

SKIPPED_MAX = 64
"""After so many times it is tried again, however often it was in vain."""


class Worth:
    """Leaves out what was in vain: the next time, then two times, and so on up to a bound."""

    def __init__(self) -> None:
        self._skip = 0  # so many times are left out
        self._skip_next = 1

    def is_tried(self) -> bool:
        """Whether this time; to be asked once for each."""
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
