"""Where a crash cuts a server's list of duties: what comes before it is done, the rest is not."""

from typing import Any

from raft.state import Committed, Ready, Write


def count_of(duties: Ready) -> int:
    """How many places there are for a crash."""
    _, messages, write, received, wanted, committed, reads = duties
    single = (write is not None) + (committed is not None)
    return len(messages) + len(received) + len(wanted) + len(reads) + single


def first_of(duties: Ready, count: int) -> Ready:
    """The first duties, in their order; the rest never happens."""
    left = count
    kept: list[Any] = [duties.soft_state]
    for duty in duties[1:]:
        if duty is None or isinstance(duty, Write | Committed):
            kept.append(duty if left else None)
            left -= duty is not None and left > 0
        else:
            kept.append(duty[:left])
            left = max(0, left - len(duty))
    return Ready(*kept)
