"""A node that is left behind: who writes meanwhile, and until when."""

from typing import Self

from kvorum import Clerk
from tests.cluster.generic import TRAILING
from tests.cluster.harness import Cluster, until

INSTALLED = "snapshot installed"
"""What a node tells that was sent one."""

WRITES = 3 * TRAILING


class Writer:
    """One clerk that appends number after number, so that a gap or a repetition shows."""

    def __init__(self, cluster: Cluster) -> None:
        self._clerk = Clerk(cluster.endpoints(), timeout=30)
        self.value = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._clerk.close()

    def write(self, count: int = WRITES) -> None:
        """Each in an entry of its own."""
        for _ in range(count):
            text = b"%d " % len(self.value)
            self._clerk.append("log", text)
            self.value += text


def outrun(cluster: Cluster, writer: Writer, away: int, behind: int) -> None:
    """Write until a leader has cut its log past the last index of the node that is away."""

    def is_outrun() -> bool:
        writer.write(TRAILING)
        statuses = cluster.statuses(at for at in cluster.alive() if at != away)
        leads = [found for found in statuses.values() if found.role == "leader"]
        return any(found.truncated_index > behind for found in leads)

    until(is_outrun, what="the log is cut")
