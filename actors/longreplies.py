"""Long answers on their way out: of each libzmq says when it has left, and so they are counted."""

import zmq

from actors.sockets import Socket
from kv.longanswers import LONG_BYTES, Unsent, bytes_of
from messages.client import Values


class LongReplies:
    """What kv/longanswers.py counts when it is answered, until it has left or is lost."""

    def __init__(self, unsent: Unsent) -> None:
        self._unsent = unsent
        self._leaving: list[tuple[zmq.MessageTracker, bytes, int]] = []

    @property
    def are_leaving(self) -> bool:
        """Whether any was not seen to have left."""
        return bool(self._leaving)

    def send(self, socket: Socket, client: bytes, reply: Values, frame: bytes) -> None:
        """Send or lose, as actor.send does."""
        size = bytes_of(reply.values)
        try:
            tracker = socket.send_multipart([client, frame], zmq.NOBLOCK, copy=False, track=True)
        except zmq.ZMQError as error:
            if error.errno not in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                raise
            tracker = None
        if size < LONG_BYTES:
            return  # nobody counts it
        if tracker is None:
            self._unsent.left(client, size)
        else:
            self._leaving.append((tracker, client, size))

    def look(self) -> None:
        """Make room for what has left."""
        if not self._leaving:
            return
        waiting, self._leaving = self._leaving, []
        for found in waiting:
            tracker, client, size = found
            if tracker.done:
                self._unsent.left(client, size)
            else:
                self._leaving.append(found)
