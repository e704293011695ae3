"""What a node has counted, asked at its client port."""

import time

import zmq

from actors.actor import send
from actors.sockets import Context, tcp_dealer
from messages.client import AskCounters, Counters
from messages.clientcodec import REPLY_BYTES_MAX, decode_reply, encode
from messages.codec import CodecError


def ask_counters(endpoint: str, timeout_s: float) -> dict[str, int] | None:
    """Where the counters of the node at host:port stand; None if it does not say in time."""
    context: Context = zmq.Context()
    try:
        socket = tcp_dealer(context, endpoint, REPLY_BYTES_MAX)
        deadline = time.monotonic() + timeout_s
        # IMMEDIATE: nothing can be sent before the connection stands.
        if not socket.poll(int(timeout_s * 1000), zmq.POLLOUT):
            return None
        send(socket, [encode(AskCounters(1))])
        if not socket.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            return None
        reply = decode_reply(socket.recv())
        return dict(reply.counted) if isinstance(reply, Counters) else None
    except CodecError:
        return None  # whoever listens there is no node
    finally:
        context.destroy(linger=0)
