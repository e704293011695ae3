"""Every option of every socket, set in one place: libzmq's defaults hurt (DESIGN 9).

What each default would do, as measured, is in docs/decisions/0003-sockets.md.
"""

import os
import socket as tcp
from collections.abc import Callable
from typing import cast

import zmq
from zmq.backend import Socket as Plain

Context = zmq.Context[zmq.Socket[bytes]]
Socket = zmq.Socket[bytes]

# What zmq.Socket wraps. The wrappers took a third of a turn: a round trip of two frames between two
# actors costs 6.6 us of CPU through them, so 1 us.
receive_frame, send_frame = Plain.recv, Plain.send
option_of = cast("Callable[[Socket, int], int]", Plain.get)

INPROC_KVSERVER = "inproc://raft"
INPROC_LOGWRITER = "inproc://logwriter"
INPROC_STATEWRITER = "inproc://statewriter"
ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_DOMAIN = b"kvorum"


class PortRefused(Exception):  # noqa: N818 - named as StorageRefused is
    """A port cannot be opened; the sentence says which and why."""


_EVERYWHERE: dict[zmq.SocketOption, int] = {
    zmq.LINGER: 0,  # at exit nothing unsent matters: Raft and the clerk ask again
    zmq.SNDHWM: 1024,
    zmq.RCVHWM: 0,  # a bound one lets a peer abort this process inside libzmq; we drain always
}

_TCP: dict[zmq.SocketOption, int] = _EVERYWHERE | {
    zmq.IMMEDIATE: 1,  # no queue for a peer that is away: it would come back stale
    zmq.RECONNECT_IVL: 50,
    zmq.RECONNECT_IVL_MAX: 0,
    zmq.CONNECT_TIMEOUT: 500,
    zmq.TCP_MAXRT: 1000,  # a peer that acknowledges nothing for so long is cut off
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 2,
    zmq.TCP_KEEPALIVE_INTVL: 1,
    zmq.TCP_KEEPALIVE_CNT: 3,
    zmq.HANDSHAKE_IVL: 2000,  # a connection that does not say who it is goes
    zmq.HEARTBEAT_IVL: 0,  # answered by libzmq, not by us; and it can abort the receiver
}

BACKLOG = 256
"""Connections that wait to be accepted."""


def roomy_context() -> Context:
    """For as many sockets as libzmq can: its default of 1,023 is 341 clerks of three servers."""
    context: Context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, context.get(zmq.SOCKET_LIMIT))
    return context


def local_router(context: Context, endpoint: str) -> Socket:
    """The mailbox of an actor, for others of its node."""
    socket = context.socket(zmq.ROUTER)
    _set(socket, _EVERYWHERE | {zmq.SNDHWM: 0, zmq.ROUTER_MANDATORY: 1})
    socket.bind(endpoint)
    return socket


def local_dealer(context: Context, endpoint: str, name: bytes) -> Socket:
    """An actor's line to another actor of its node; bounds lie in what the actors ask for."""
    socket = context.socket(zmq.DEALER)
    _set(socket, _EVERYWHERE | {zmq.SNDHWM: 0})
    socket.setsockopt(zmq.ROUTING_ID, name)
    socket.connect(endpoint)
    return socket


def listener(host: str, port: int) -> tcp.socket:
    """A port of ours; PortRefused if it cannot be opened."""
    opened = tcp.socket()
    try:
        opened.setsockopt(tcp.SOL_SOCKET, tcp.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(BACKLOG)
    except OSError as error:
        opened.close()
        raise PortRefused(f"cannot listen at {host}:{port}: {error.strerror}") from error
    opened.settimeout(0)  # who is to be accepted may be gone again
    return opened


def tcp_router(context: Context, at: tcp.socket, message_bytes_max: int) -> Socket:
    """Hears who connects there; only what speaks ZMTP and passes the ZAP handler is heard."""
    socket = context.socket(zmq.ROUTER)
    options: dict[zmq.SocketOption, int] = {
        zmq.MAXMSGSIZE: message_bytes_max,
        zmq.ROUTER_MANDATORY: 1,  # a client that went is an error, not silence
        zmq.ROUTER_HANDOVER: 0,
        zmq.ZAP_ENFORCE_DOMAIN: 1,
        zmq.USE_FD: os.dup(at.fileno()),  # libzmq closes it with the socket
    }
    _set(socket, {**_TCP, **options})
    socket.setsockopt(zmq.ZAP_DOMAIN, ZAP_DOMAIN)
    host, port = at.getsockname()
    socket.bind(f"tcp://{host}:{port}")
    return socket


def tcp_dealer(context: Context, endpoint: str, message_bytes_max: int) -> Socket:
    """A line to a port; host:port is looked up anew at each connection."""
    socket = context.socket(zmq.DEALER)
    _set(socket, _TCP | {zmq.MAXMSGSIZE: message_bytes_max})
    socket.connect(f"tcp://{endpoint}")
    return socket


def _set(socket: Socket, options: dict[zmq.SocketOption, int]) -> None:
    for option, value in options.items():
        socket.setsockopt(option, value)
