"""What there is to show of a cluster, as one value."""

from typing import NamedTuple, Protocol

from actors.addresses import NodeAddress
from actors.status import Answer, Leadership
from launch.child import State
from messages.client import Status


class NodeView(NamedTuple):
    """One node, as far as anybody knows; a node of another machine has no state here."""

    address: NodeAddress
    state: State | None
    pid: int | None
    answer: Answer | None


class View(NamedTuple):
    """All there is to show."""

    cluster: str
    leadership: Leadership
    nodes: tuple[NodeView, ...]
    events: tuple[str, ...]


class Screen(Protocol):
    """Where it is shown."""

    def tell(self, event: str) -> None:
        """Something happened."""

    def show(self, view: View) -> None:
        """A moment has passed."""


def is_of(status: Status, cluster: str, node: NodeAddress) -> bool:
    """Whether it is this node who speaks."""
    return (status.cluster, status.name, status.node) == (cluster, node.name, node.node_id)
