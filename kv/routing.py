"""The Clerk's brain: what to ask whom, when to ask again, and how each call ends.

It asks one server at a time, the one it takes for the leader. Writes are safe to send again
anywhere, because their session makes each take effect once; reads change nothing.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import Any

from kv.outcomes import NEVER, Failed, Settled, Token, Why
from kv.pace import Pace
from kv.readcalls import ReadCall, ReadCalls
from kv.target import Alarm, Target
from kv.writequeue import Bounds
from kv.writing import Writing
from messages.client import (
    KEY_BYTES_LIMIT,
    VALUE_BYTES_LIMIT,
    VERSION,
    ClientReply,
    ClientRequest,
    Counters,
    Hello,
    Operation,
    Reason,
    Refused,
    SessionOpened,
    Status,
    Values,
    Welcome,
    Wrote,
)

CALLS_MAX = 65_536
"""Writes, and as many reads, that wait in one clerk; more are refused: QUEUE_FULL."""

BOUNDS = Bounds(
    calls_max=CALLS_MAX,
    bytes_max=256 * 1024 * 1024,
    window_bytes=1024 * 1024,  # of every clerk at a time: a server takes 64 MiB, then hangs up
)

ELSEWHERE = {Reason.NOT_LEADER, Reason.UNSEATED, Reason.STOPPING}
"""Refusals that mean: ask another server. After any other, the same one is asked again later."""

Request = tuple[str, ClientRequest]
"""A message and the endpoint, host:port, of the server it is for."""


class Router:
    """All calls of one clerk; time in seconds is handed in and never goes back."""

    def __init__(self, endpoints: Iterable[str], random: Random, now: float) -> None:
        self.limits = (KEY_BYTES_LIMIT, VALUE_BYTES_LIMIT)  # until a server says less
        self.applied_index = 0
        self.older_answers = 0  # R5; each would be a bug of a server
        self._target = Target(endpoints, random, now)
        self._settled: list[Settled] = []
        self._writing = Writing(BOUNDS, random, now, self._settled)
        self._queue = self._writing.queue
        self._reads = ReadCalls(CALLS_MAX)
        self._read_pace = Pace(random)
        self._now = now
        self._request_id = random.getrandbits(40)  # so that no answer to another clerk fits
        self._first_id = self._request_id  # what has a smaller one was asked before the last move

    @property
    def has_work(self) -> bool:
        """Whether anybody waits."""
        return self._queue.live > 0 or self._reads.live > 0

    @property
    def has_settled(self) -> bool:
        """Whether a call ended that nobody was told of."""
        return bool(self._settled)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """All servers known."""
        return tuple(self._target.endpoints)

    def write(self, token: Token, operation: Operation, deadline: float) -> None:
        """Take a write; it takes effect after all writes taken before."""
        _, key, value = operation
        keys_max, values_max = self.limits
        if not 0 < len(key) <= keys_max or len(value) > values_max:
            self._settled.append((token, Failed(Why.TOO_LARGE)))
        elif not self._queue.submit(token, operation, deadline):
            self._settled.append((token, Failed(Why.QUEUE_FULL)))

    def read(self, level: int, call: ReadCall) -> None:
        """Take a read; it may be answered before writes that were taken before."""
        token = call.token
        if not 0 < len(call.key) <= self.limits[0]:
            self._settled.append((token, Failed(Why.TOO_LARGE)))
        elif not self._reads.submit(level, call):
            self._settled.append((token, Failed(Why.QUEUE_FULL)))

    def on_reply(self, endpoint: str, reply: ClientReply, now: float) -> None:
        """A server said something; what only the one in use may say is dropped of others."""
        self._now = now
        self._target.on_word(endpoint, now)
        HANDLERS[type(reply)](self, endpoint, reply)

    def on_unreachable(self, endpoint: str, now: float) -> None:
        """There is no connection to that server now, and nothing that was on its way arrives."""
        self._now = now
        self._target.shun(endpoint, now, silent=False)
        self._queue.write_off(endpoint)
        if endpoint == self._target.endpoint:
            self._move(self._target.look_elsewhere)

    def on_no_descriptor(self, endpoint: str, now: float) -> None:
        """This process cannot connect to the one in use: to wait, or to ask others, is no help."""
        if endpoint == self._target.endpoint:
            self._give_up_all(Why.NO_DESCRIPTOR)
        else:
            self.on_unreachable(endpoint, now)

    def turn(self, now: float) -> tuple[list[Request], list[Settled]]:
        """Everything to be sent now, in order, and every call that ended."""
        self._now = now
        queue, reads = self._queue, self._reads
        if now >= queue.due:
            self._settled += queue.expire(now, self._writing.pace.why)
        if now >= reads.due:
            self._settled += reads.expire(now, self._read_pace.why)
        requests: list[Request] = []
        if (queue.live or reads.live) and now >= self._target.not_before:
            requests = self._requests()
        return requests, self.take_settled()

    def take_settled(self) -> list[Settled]:
        """The calls that ended since somebody asked."""
        settled = self._settled.copy()
        self._settled.clear()
        return settled

    def due(self, now: float) -> float:
        """When the next turn must be, if nothing happens until then."""
        if not self.has_work:
            return NEVER
        due = min(self._queue.due, self._reads.due, self._target.due(now))
        for at in (self._writing.pace.not_before, self._read_pace.not_before):
            if now < at < due:
                due = at
        return due

    def close(self) -> list[Settled]:
        """End every call as what is known of it."""
        self._give_up_all(Why.CLOSED)
        return self.take_settled()

    def _requests(self) -> list[Request]:
        requests: list[Request] = []
        target = self._target
        if self._reads.on_way or self._queue.on_way or self._writing.opening:
            requests = self._answer_alarm(target.alarm(self._now))
            if self._now < target.not_before:
                return requests
        else:
            target.begin(self._now)

        questions: list[ClientRequest] = []
        if not target.is_greeted:
            target.is_greeted = True
            questions.append(Hello(self._next_id(), VERSION))
        if self._queue.live:
            questions += self._writing.questions(target.endpoint, self._next_id, self._now)
        if self._reads.live and self._now >= self._read_pace.not_before:
            reads = self._reads.questions(self._request_id + 1, self._read_pace.window)
            self._request_id += len(reads)
            questions += reads
        for question in questions:
            requests.append((target.endpoint, question))
        return requests

    def _answer_alarm(self, alarm: Alarm) -> list[Request]:
        target, now = self._target, self._now
        if alarm is Alarm.LEAVE:
            target.shun(target.endpoint, now, silent=True)
            self._move(target.look_elsewhere)
        elif alarm is Alarm.RESEND:
            target.be_patient(now)
            self._queue.write_off(target.endpoint)
            self._ask_all_again()
        elif alarm is Alarm.ASK_AROUND:
            hello = Hello(self._next_id(), VERSION)
            return [(endpoint, hello) for endpoint in target.whom_to_ask(now)]
        return []

    def _next_id(self) -> int:
        self._request_id += 1
        return self._request_id

    def on_welcome(self, endpoint: str, reply: Welcome) -> None:
        """Its limits are the cluster's; who does not lead names the leader without being asked."""
        self.limits = (reply.key_bytes_max, reply.value_bytes_max)
        target = self._target
        in_use = endpoint == target.endpoint and reply.request_id >= self._first_id
        knows_more = in_use or target.is_overdue(self._now)
        if knows_more and reply.leader not in ("", target.endpoint):
            self._move(lambda now: target.follow(reply.leader, now))

    def on_session_opened(self, endpoint: str, reply: SessionOpened) -> None:
        """Whoever opened it: the session is the cluster's."""
        if self._writing.on_opened(reply, self._now):
            self._on_answer(endpoint, self._writing.pace)

    def on_wrote(self, endpoint: str, reply: Wrote) -> None:
        """Everything of our session up to a number is done."""
        if self._writing.on_wrote(reply):
            self._on_answer(endpoint, self._writing.pace)
            if reply.applied_index > self.applied_index:
                self.applied_index = reply.applied_index

    def on_values(self, endpoint: str, reply: Values) -> None:
        """Answers to a question; an older state than one we have seen is no answer (R5)."""
        if reply.applied_index >= self.applied_index:
            self.applied_index = reply.applied_index
        elif self._reads.is_older(reply, self.applied_index):
            self.older_answers += 1
            self._reads.ask_again(reply.request_id)
            if endpoint == self._target.endpoint:
                self._move(self._target.look_elsewhere)
            return
        settled = self._reads.on_values(reply)
        self._settled += settled
        if settled:
            self._on_answer(endpoint, self._read_pace)
        else:
            self._target.on_answer(self._now)  # a part of a long one is no sign to ask for more

    def on_status(self, _: str, __: Status | Counters) -> None:
        """Asked for by nobody here."""

    def on_refused(self, endpoint: str, reply: Refused) -> None:
        """The server in use cannot or will not: why decides what to do.

        Refusals of what is asked again already must not be acted on: each would have everything
        asked once more, and those questions would be refused in their turn.
        """
        in_use = endpoint == self._target.endpoint
        if reply.reason == Reason.BAD_VERSION:
            if in_use:
                self._give_up_all(Why.BAD_VERSION)  # no server of this cluster will understand
            return
        is_write = self._writing.concerns(reply)
        if is_write:
            is_news = self._writing.on_refused(endpoint, reply, in_use=in_use)
        else:
            is_news = self._reads.ask_again(reply.number)
        if not (in_use and is_news):
            return
        if reply.reason in ELSEWHERE:
            self._move(lambda now: self._target.follow(reply.leader, now))
        elif is_write:
            self._writing.back_off(reply, self._now)
        elif reply.reason == Reason.TOO_LARGE:
            self._read_pace.ask_for_less()
        else:
            self._read_pace.back_off(self._now, Why.OVERLOADED)

    def _on_answer(self, endpoint: str, pace: Pace) -> None:
        self._target.on_answer(self._now)
        if endpoint == self._target.endpoint:
            pace.on_answer()

    def _move(self, choose: Callable[[float], None]) -> None:
        """Ask another server, for everything that is not settled."""
        choose(self._now)
        self._first_id = self._request_id + 1
        self._writing.pace.begin()
        self._read_pace.begin()
        self._ask_all_again()

    def _ask_all_again(self) -> None:
        self._writing.ask_all_again()
        self._reads.ask_all_again()

    def _give_up_all(self, why: Why) -> None:
        self._writing.give_up_all(why)
        self._settled += self._reads.give_up_all(why)


HANDLERS: dict[type, Callable[[Router, str, Any], None]] = {
    Welcome: Router.on_welcome,
    SessionOpened: Router.on_session_opened,
    Wrote: Router.on_wrote,
    Values: Router.on_values,
    Status: Router.on_status,
    Counters: Router.on_status,
    Refused: Router.on_refused,
}
