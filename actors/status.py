"""How the nodes of a cluster are, asked at their client ports without ever waiting for one."""

import time
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import zmq

from actors.actor import send
from actors.sockets import Context, Socket, tcp_dealer
from messages.client import AskStatus, ClientRequest, OpenSession, Refused, SessionOpened, Status
from messages.clientcodec import REPLY_BYTES_MAX, decode_reply, encode
from messages.codec import CodecError

UNANSWERED_S = 1.5
"""A node silent for so long is not known to be alive; it is asked again over a new connection."""

REPLIES_PER_TURN_MAX = 64


NEVER = float("-inf")

SMOOTHING = 0.3
"""Of the rate of writes: the share of the latest interval."""


class Answer(NamedTuple):
    """A node's word of itself, and the rate of its writes since the word before."""

    status: Status
    heard_at: float
    writes_per_s: float | None  # None at its first word


class Leadership(NamedTuple):
    """Who leads, if anyone is known to, and the latest term heard of."""

    leader: str | None
    term: int


class Board:
    """The last word of each node; turn() takes what came and asks again."""

    def __init__(self, endpoints: Mapping[str, str], interval_s: float) -> None:
        """Of nodes by name; endpoints are host:port of their client ports."""
        self._context: Context = zmq.Context()
        self._lines = {
            name: _Line(self._context, endpoint, interval_s) for name, endpoint in endpoints.items()
        }

    def turn(self, wait_s: float = 0) -> None:
        """Ask whoever is due, wait at most so long for something to come, and take it."""
        for line in self._lines.values():
            line.ask_if_due()
        if wait_s > 0:
            poller = zmq.Poller()
            for line in self._lines.values():
                poller.register(line.socket, zmq.POLLOUT if line.is_due() else zmq.POLLIN)
            poller.poll(int(wait_s * 1000) + 1)
        for line in self._lines.values():
            line.take()

    def answer(self, name: str) -> Answer | None:
        """What the node said, if that is not too long ago."""
        answer = self._lines[name].answer
        fresh = answer is not None and time.monotonic() - answer.heard_at < UNANSWERED_S
        return answer if fresh else None

    def answers(self) -> dict[str, Answer]:
        """What each node said that said something not too long ago."""
        found = {name: self.answer(name) for name in self._lines}
        return {name: answer for name, answer in found.items() if answer}

    def opens_session(self, name: str) -> bool:
        """Whether this node has opened a session: a write through the whole cluster.

        Asks for one, so ask again later.
        """
        return self._lines[name].opens_session()

    def close(self) -> None:
        """Ask no more."""
        self._context.destroy(linger=0)


def ask_all(endpoints: Mapping[str, str], timeout_s: float) -> dict[str, Answer]:
    """What each node says within the timeout; who says nothing is missing."""
    interval_s = timeout_s / 4
    board = Board(endpoints, interval_s)
    deadline = time.monotonic() + timeout_s
    try:
        while len(board.answers()) < len(endpoints) and time.monotonic() < deadline:
            board.turn(wait_s=interval_s)
        return board.answers()
    finally:
        board.close()


def ask_status(endpoint: str, timeout_s: float) -> Status | None:
    """What the node at host:port says within the timeout."""
    answer = ask_all({"": endpoint}, timeout_s).get("")
    return answer.status if answer else None


def leadership(statuses: Iterable[Status]) -> Leadership:
    """Who leads in the latest term: one that was cut off may still believe in an older one."""
    known = list(statuses)
    term = max((status.term for status in known), default=0)
    leads = [status.name for status in known if status.role == "leader" and status.term == term]
    return Leadership(leads[0] if leads else None, term)


def facts(status: Status | None) -> dict[str, object]:
    """What `status --json` says of a node that answered, or did not: null is what nobody knows."""
    return {
        "alive": status is not None,
        "pid": status.pid if status else None,
        "role": status.role if status else None,
        "term": status.term if status else None,
        "commit": status.commit_index if status else None,
        "applied": status.applied_index if status else None,
        "last": status.last_index if status else None,
    }


class _Line:
    """One node's client port."""

    def __init__(self, context: Context, endpoint: str, interval_s: float) -> None:
        self.answer: Answer | None = None
        self._context = context
        self._endpoint = endpoint
        self._interval_s = interval_s
        self._number = 0
        self._asked_at = NEVER
        self._session_asked_at = NEVER
        self._session_opened = False
        self._connect()

    def is_due(self) -> bool:
        """Whether it is time to ask again: a question is lost when the node that got it ends."""
        return time.monotonic() - self._asked_at >= self._interval_s

    def ask_if_due(self) -> None:
        """Ask once an interval; a connection that brings no answer for long is given up.

        ZeroMQ would keep one whose handshake failed, silent for ever, and the questions to a paused
        node would pile up.
        """
        if time.monotonic() - self._heard_at >= UNANSWERED_S:
            self.socket.close(linger=0)
            self._connect()
        if self.is_due() and self._send(AskStatus(self._number + 1)):
            self._asked_at = time.monotonic()

    def take(self) -> None:
        """Take what came, up to a bound."""
        for _ in range(REPLIES_PER_TURN_MAX):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._on_reply(frames[0])

    def opens_session(self) -> bool:
        """Whether a session was opened over this line; asks for one now and then."""
        now = time.monotonic()
        is_due = now - self._session_asked_at >= UNANSWERED_S
        if is_due and self._send(OpenSession(self._number + 1)):
            self._session_asked_at = now
        return self._session_opened

    def _connect(self) -> None:
        self.socket: Socket = tcp_dealer(self._context, self._endpoint, REPLY_BYTES_MAX)
        self._heard_at = time.monotonic()

    def _send(self, request: ClientRequest) -> bool:
        self._number += 1
        return send(self.socket, [encode(request)])

    def _on_reply(self, frame: bytes) -> None:
        try:
            reply = decode_reply(frame)
        except CodecError:
            return  # whoever listens there is no node
        if isinstance(reply, SessionOpened):
            self._session_opened = True
        elif isinstance(reply, Refused):
            self._session_asked_at = NEVER  # it may lead in a moment
        elif isinstance(reply, Status):
            self._heard_at = time.monotonic()
            self.answer = _with_rate(reply, self.answer)


def _with_rate(status: Status, before: Answer | None) -> Answer:
    """A node that was started anew counts anew."""
    now = time.monotonic()
    if before is None or before.status.pid != status.pid or now <= before.heard_at:
        return Answer(status, now, None)
    latest = max(0, status.writes - before.status.writes) / (now - before.heard_at)
    rate = latest if before.writes_per_s is None else before.writes_per_s
    return Answer(status, now, rate + SMOOTHING * (latest - rate))
