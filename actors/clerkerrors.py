"""What can go wrong with a call, as its caller sees it: not applied, or unknown (C1)."""

from kv.outcomes import Failed, Unknown, Why


class KvorumError(Exception):
    """A call that is not known to be done; key and reason say which and why."""

    def __init__(self, key: bytes, reason: str) -> None:
        super().__init__(f"{reason} (key {_shown(key)})")
        self.key = key
        self.reason = reason


class NotApplied(KvorumError):  # noqa: N818 - named as the outcome is
    """It was not done and never will be: asking again is safe."""


class OutcomeUnknown(KvorumError):  # noqa: N818 - named as the outcome is
    """It may have been done, may still be, or never: read, if it matters, before asking again."""


class Unavailable(NotApplied):
    """No leader answered in time: a majority of the servers, or their leader, cannot be reached."""


class Overloaded(NotApplied):
    """The cluster, or this clerk, has more to do than it can take: ask less, or later."""


class DiskFull(NotApplied):
    """The leader's disk is full; reads go on."""


class TooLarge(NotApplied):
    """The key or the value passes a limit of the cluster."""


class WrongVersion(NotApplied):
    """The servers speak another version of the protocol: this clerk is too old or too new."""


class ClerkClosed(NotApplied):
    """The clerk was closed before, or its process was forked off the one it was made in."""


_BY_REASON: dict[Why, type[NotApplied]] = {
    Why.OVERLOADED: Overloaded,
    Why.QUEUE_FULL: Overloaded,
    Why.DISK_FULL: DiskFull,
    Why.TOO_LARGE: TooLarge,
    Why.UNAVAILABLE: Unavailable,
    Why.BAD_VERSION: WrongVersion,
    Why.CLOSED: ClerkClosed,
}

KEY_SHOWN_BYTES_MAX = 64


def error_of(outcome: Failed | Unknown, key: bytes, limits: tuple[int, int]) -> KvorumError:
    """What to raise for a call that ended so."""
    reason = outcome.why.value
    if outcome.why is Why.TOO_LARGE:
        what, bytes_max = ("key", limits[0]) if len(key) > limits[0] else ("value", limits[1])
        reason = f"the {what} is {reason}: at most {bytes_max} bytes"
    if isinstance(outcome, Unknown):
        return OutcomeUnknown(key, f"{reason}, and the change may have been made or not")
    return _BY_REASON.get(outcome.why, NotApplied)(key, reason)


def _shown(key: bytes) -> str:
    """Enough of a key to know it by."""
    cut = key[:KEY_SHOWN_BYTES_MAX]
    return repr(cut) + ("..." if len(key) > len(cut) else "")
