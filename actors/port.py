"""A port that others connect to, and what a node does when more arrives than it can look at.

libzmq's own thread takes in whatever comes, and RCVHWM, which would stop it, lets a peer abort this
process (docs/decisions/0003-sockets.md). What bounds that queue is that it can be thrown away: the
ROUTER is closed with all that waits in it, and another one hears the same port, which was open all
the time. Who speaks the protocol has so little on its way that it never comes to this; if it is
hit with others it connects again and asks again.
"""

from actors.sockets import Context, Socket, listener, tcp_router


class Port:
    """One port of a node."""

    def __init__(self, context: Context, host: str, port: int, message_bytes_max: int) -> None:
        """PortRefused if it cannot be opened."""
        self.floods = 0
        self._context = context
        self._message_bytes_max = message_bytes_max
        self._listener = listener(host, port)
        self.router = self._open()

    def hang_up(self) -> None:
        """More waits than a turn takes: hang up on everybody."""
        self.floods += 1
        self.router.close()
        self.router = self._open()

    def close(self) -> None:
        """Nobody can connect any more."""
        self.router.close()
        self._listener.close()

    def _open(self) -> Socket:
        return tcp_router(self._context, self._listener, self._message_bytes_max)
