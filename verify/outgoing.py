"""The states that a leader is sending: each is pinned as it was when its first chunk was wanted."""

from messages.raft import InstallSnapshot
from verify.machine import State, as_bytes

PINNED_MAX = 4
"""So many are kept at a time; the oldest is given up, and whoever still wanted it starts anew."""


class Outgoing:
    """Snapshots by their last included index, as bytes to be cut into chunks."""

    def __init__(self) -> None:
        self._pinned: dict[int, bytes] = {}

    def pin(self, state: State, padding: int) -> None:
        """Keep this state, whatever is applied from now on."""
        self._pinned[state.last_applied] = as_bytes(state, padding)
        if len(self._pinned) > PINNED_MAX:
            del self._pinned[next(iter(self._pinned))]

    def filled(self, wanted: InstallSnapshot, chunk_bytes: int) -> InstallSnapshot | None:
        """The chunk with its bytes; None if that state is not here any more, or not that long."""
        data = self._pinned.get(wanted.last_included_index)
        if data is None or 0 < len(data) <= wanted.offset:
            return None
        end = min(wanted.offset + chunk_bytes, len(data))
        return wanted._replace(data=data[wanted.offset : end], done=end == len(data))

    def clear(self) -> None:
        """None of them can be read any more."""
        self._pinned.clear()
