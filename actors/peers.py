"""The lines to the other nodes: one to send on each, one for bulk, one port to hear all.

What is sent goes out on our own DEALER and never back over the ROUTER it came from: the sender of a
frame is who its envelope says, checked against the cluster's configuration, not a connection.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from actors.actor import send
from actors.port import Port
from actors.sockets import Context, tcp_dealer
from messages.codec import CodecError
from messages.envelope import ENVELOPE_BYTES_MAX, Envelope, opened, seal, unseal
from messages.raft import InstallSnapshot, Message

HEARD_BYTES_MAX = 4_096
"""On a line that only sends, nothing longer than ZMTP's own handshake is taken."""


class Peers:
    """All other nodes, as the Raft actor's thread reaches them."""

    def __init__(
        self,
        context: Context,
        cluster: str,
        node: int,
        bind: tuple[str, int],
        at: Mapping[int, str],
    ) -> None:
        """Hear at `bind` (host and port), and speak to the nodes at these endpoints."""
        self.port = Port(context, *bind, ENVELOPE_BYTES_MAX)
        self.refused: Counter[str] = Counter()
        self._cluster = cluster
        self._node = node
        self._lines = {peer: tcp_dealer(context, to, HEARD_BYTES_MAX) for peer, to in at.items()}
        # Chunks of snapshots have a line of their own: heartbeats must not wait behind them (O4).
        self._bulk = {peer: tcp_dealer(context, to, HEARD_BYTES_MAX) for peer, to in at.items()}

    def receive(self, frames: list[bytes]) -> list[Message]:
        """The messages in this frame; what does not belong here is counted and dropped."""
        try:
            envelope = unseal(frames[-1])
            fault = self._fault(frames, envelope)
            if not fault:
                return opened(envelope)
        except CodecError as error:
            fault = str(error)
        self.refused[fault] += 1
        return []

    def send(self, messages: Iterable[Message]) -> set[int]:
        """Send each to its target, in order; returns whom something could not be sent to."""
        by_line: dict[tuple[bool, int], list[Message]] = {}
        for message in messages:
            bulk = type(message) is InstallSnapshot
            by_line.setdefault((bulk, message.target), []).append(message)
        lost = set()
        for (bulk, peer), gathered in by_line.items():
            line = (self._bulk if bulk else self._lines).get(peer)
            if line is None:
                continue  # not in this node's configuration: nobody to tell
            for frame in seal(self._cluster, self._node, peer, gathered):
                if not send(line, [frame]):
                    lost.add(peer)
        return lost

    def _fault(self, frames: list[bytes], envelope: Envelope) -> str:
        """Why this is not for us, or nothing (D12)."""
        if len(frames) != 2:
            return "not one frame"
        if envelope.cluster != self._cluster:
            return "another cluster"
        if envelope.target != self._node or envelope.source not in self._lines:
            return "not from a node of ours to this one"
        return ""

    def close(self) -> None:
        """Close every line."""
        self.port.close()
        for socket in [*self._lines.values(), *self._bulk.values()]:
            socket.close()
