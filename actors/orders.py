"""What the launcher's verbs say to the supervisor of a cluster, over a socket beside its data."""

import json
import secrets
from typing import Any, NamedTuple

import zmq

from actors.actor import send
from actors.sockets import Context, local_dealer, local_router

ORDERS_PER_TURN_MAX = 64

Report = dict[str, Any]
"""A supervisor's answer, as JSON can hold it."""


class Order(NamedTuple):
    """Do this, to this node (none: to the whole cluster)."""

    sender: bytes
    verb: str
    node: str


class OrderBox:
    """The supervisor's mailbox."""

    def __init__(self, endpoint: str) -> None:
        """At an ipc:// endpoint: the directory it lies in says who may give orders."""
        self._context: Context = zmq.Context()
        self._socket = local_router(self._context, endpoint)

    def wait(self, timeout_s: float) -> list[Order]:
        """The orders that came, as soon as there is one; none if none came in time."""
        orders: list[Order] = []
        if self._socket.poll(int(timeout_s * 1000)):
            while len(orders) < ORDERS_PER_TURN_MAX and self._socket.poll(0):
                orders += _read(self._socket.recv_multipart())
        return orders

    def answer(self, order: Order, report: Report) -> None:
        """Say how it went; whoever asked may be gone."""
        send(self._socket, [order.sender, json.dumps(report).encode()])

    def close(self) -> None:
        """Take no more orders."""
        self._context.destroy(linger=0)


def give_order(endpoint: str, verb: str, node: str, timeout_s: float) -> Report | None:
    """Give one order; None if nobody answered within the timeout."""
    context: Context = zmq.Context()
    try:
        socket = local_dealer(context, endpoint, b"order" + secrets.token_bytes(8))
        send(socket, [json.dumps([verb, node]).encode()])
        if not socket.poll(int(timeout_s * 1000)):
            return None
        report: Report = json.loads(socket.recv_multipart()[0])
        return report
    finally:
        context.destroy(linger=0)


def _read(frames: list[bytes]) -> list[Order]:
    """One order, or none: what is not one is dropped."""
    try:
        sender, body = frames
        verb, node = json.loads(body)
    except ValueError:
        return []
    well_formed = isinstance(verb, str) and isinstance(node, str)
    return [Order(sender, verb, node)] if well_formed else []
