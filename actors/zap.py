"""Who may connect: the handler of ZeroMQ's authentication (RFC 27) for every port of this node.

It lets every ZMTP 3 peer in, as there are no keys yet. It must stand all the same: without a
domain and a handler, bytes of any stranger arrive as messages (93,725 of them from 1,500
connections of garbage, measured), with one they end in the handshake.
"""

from collections.abc import Callable

from actors.actor import send
from actors.sockets import ZAP_DOMAIN, ZAP_ENDPOINT, Context, Socket, local_router

VERSION = b"1.0"
OK, REFUSED = b"200", b"400"


class ZapActor:
    """Answers libzmq's own questions, one for each connection."""

    expects_more = False

    def __init__(self, context: Context) -> None:
        self._socket = local_router(context, ZAP_ENDPOINT)

    def sockets(self) -> dict[Socket, Callable[[list[bytes]], None]]:
        """The questions."""
        return {self._socket: self._on_question}

    def tick(self) -> None:
        """Nothing depends on time."""

    def flush(self) -> None:
        """Every question was answered when it came."""

    def on_flood(self, at: Socket) -> None:
        """What its own node asks has bounds elsewhere; the rest comes in the next turn."""

    def wait_ms(self, until_tick_ms: int) -> int:
        """Until the next tick."""
        return until_tick_ms

    def is_done(self) -> bool:
        """At any time: what is not done is asked for again."""
        return True

    def close(self) -> None:
        """Close what this thread made."""
        self._socket.close()

    def _on_question(self, frames: list[bytes]) -> None:
        """RFC 27: version, request id, domain, address, identity, mechanism, credentials."""
        source, _, version, request_id, domain, *_ = frames
        code = OK if version == VERSION and domain == ZAP_DOMAIN else REFUSED
        answer = [source, b"", VERSION, request_id, code, b"", b"", b""]
        send(self._socket, answer)  # who asked may be gone: a connection cut in its handshake
