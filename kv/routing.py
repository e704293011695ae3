"""The Clerk's brain: what to ask whom, when to ask again, and how each call ends.

It asks one server at a time, the one it takes for the leader. Writes are safe to send again
anywhere, because their session makes each take effect once; reads change nothing.
"""

from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, NamedTuple

from kv.outcomes import NEVER, Failed, Settled, Token, Why
from kv.pace import Pace
from kv.readcalls import ReadCall, ReadCalls
from kv.target import Alarm, Target
from kv.writequeue import Bounds, WriteQueue
from messages.client import (
    KEY_BYTES_LIMIT,
    VALUE_BYTES_LIMIT,
    VERSION,
    ClientReply,
    ClientRequest,
    Hello,
    OpenSession,
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
    window_bytes=4 * 1024 * 1024,
)

SESSION_FRESH_S = 1_800.0
"""A session unused for half the time that servers keep it is not used again."""

CERTAIN = {
    Reason.NOT_LEADER,
    Reason.OVERLOADED,
    Reason.DISK_FULL,
    Reason.TOO_LARGE,
    Reason.SESSION_EXPIRED,
    Reason.TOO_MANY_SESSIONS,
}
"""Refusals of what is in no log, or was overwritten there. UNSEATED is none: its successor may yet
commit what that leader has proposed (C1)."""

Request = tuple[str, ClientRequest]
"""A message and the endpoint, host:port, of the server it is for."""


class Turn(NamedTuple):
    """What one turn leads to: messages to send, in order, and calls that ended."""

    requests: list[Request]
    settled: list[Settled]


class Router:
    """All calls of one clerk; time in seconds is handed in and never goes back."""

    def __init__(self, endpoints: Iterable[str], random: Random, now: float) -> None:
        self.limits = (KEY_BYTES_LIMIT, VALUE_BYTES_LIMIT)  # until a server says less
        self.applied_index = 0
        self.older_answers = 0  # R5; each would be a bug of a server
        self._target = Target(endpoints, random, now)
        self._writes = WriteQueue(BOUNDS)
        self._write_pace = Pace(random)
        self._reads = ReadCalls(CALLS_MAX)
        self._read_pace = Pace(random)
        self._now = now
        self._is_resting = True
        self._request_id = random.getrandbits(40)  # so that no answer to another clerk fits
        self._opening: int | None = None  # the request that asks for our session
        self._resent_from = 0  # the number that was last said to be missing
        self._session_used_at = now
        self._settled: list[Settled] = []

    @property
    def has_work(self) -> bool:
        """Whether anybody waits."""
        return self._writes.has_work or self._reads.has_work

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
        elif not self._writes.submit(token, operation, deadline):
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
        """There is no connection to that server now."""
        self._now = now
        self._target.shun(endpoint, now, silent=False)
        if endpoint == self._target.endpoint:
            self._move(self._target.look_elsewhere)

    def turn(self, now: float) -> Turn:
        """Everything to be sent now, and every call that ended."""
        self._now = now
        self._settled += self._writes.expire(now, self._write_pace.why)
        self._settled += self._reads.expire(now, self._read_pace.why)
        requests: list[Request] = []
        if not self.has_work:
            self._is_resting = True
        elif now >= self._target.not_before:
            requests = self._requests()
        settled, self._settled = self._settled, []
        return Turn(requests, settled)

    def due(self, now: float) -> float:
        """When the next turn must be, if nothing happens until then."""
        if not self.has_work:
            return NEVER
        paces = (self._write_pace.not_before, self._read_pace.not_before)
        look = min((at for at in (*paces, self._target.due(now)) if at > now), default=now)
        return min(self._writes.due, self._reads.due, look)

    def close(self) -> list[Settled]:
        """End every call as what is known of it."""
        self._settled += self._writes.give_up_all(Why.CLOSED)
        self._settled += self._reads.give_up_all(Why.CLOSED)
        settled, self._settled = self._settled, []
        return settled

    def _requests(self) -> list[Request]:
        requests: list[Request] = []
        target = self._target
        if self._is_resting:
            self._is_resting = False
            target.begin(self._now)
            if self._now - self._session_used_at > SESSION_FRESH_S:
                self._settled += self._writes.restart(0, Why.SESSION_EXPIRED)
        elif self._is_waiting():
            requests = self._answer_alarm(target.alarm(self._now))
            if self._now < target.not_before:
                return requests
        return requests + [(target.endpoint, request) for request in self._questions()]

    def _questions(self) -> list[ClientRequest]:
        """What to ask the server in use."""
        questions: list[ClientRequest] = []
        target = self._target
        if not target.is_greeted:
            target.is_greeted = True
            questions.append(Hello(self._next_id(), VERSION))
        if self._writes.has_work and self._now >= self._write_pace.not_before:
            questions += self._write_questions()
        if self._reads.has_work and self._now >= self._read_pace.not_before:
            reads = self._reads.questions(self._request_id + 1, self._read_pace.window)
            self._request_id += len(reads)
            questions += reads
        return questions

    def _write_questions(self) -> Sequence[ClientRequest]:
        """The next writes, or, before there is one, the question for a session."""
        if self._writes.session:
            self._session_used_at = self._now
            return self._writes.frames(self._target.endpoint, self._write_pace.window)
        if self._opening is not None:
            return []
        self._opening = self._next_id()
        return [OpenSession(self._opening)]

    def _answer_alarm(self, alarm: Alarm) -> list[Request]:
        target, now = self._target, self._now
        if alarm is Alarm.LEAVE:
            target.shun(target.endpoint, now, silent=True)
            self._move(target.look_elsewhere)
        elif alarm is Alarm.RESEND:
            target.be_patient(now)
            self._ask_all_again()
        elif alarm is Alarm.ASK_AROUND:
            hello = Hello(self._next_id(), VERSION)
            return [(endpoint, hello) for endpoint in target.whom_to_ask(now)]
        return []

    def _is_waiting(self) -> bool:
        return self._writes.is_waiting or self._reads.is_waiting or self._opening is not None

    def _next_id(self) -> int:
        self._request_id += 1
        return self._request_id

    def on_welcome(self, endpoint: str, reply: Welcome) -> None:
        """Its limits are the cluster's; who does not lead names the leader without being asked."""
        self.limits = (reply.key_bytes_max, reply.value_bytes_max)
        target = self._target
        knows_more = endpoint == target.endpoint or target.is_overdue(self._now)
        if knows_more and reply.leader not in ("", target.endpoint):
            self._move(lambda now: target.follow(reply.leader, now))

    def on_session_opened(self, endpoint: str, reply: SessionOpened) -> None:
        """Ours, unless we asked again meanwhile; then it is forgotten by itself."""
        if reply.request_id == self._opening:
            self._opening = None
            self._on_answer(endpoint, self._write_pace)
            self._session_used_at = self._now
            self._settled += self._writes.restart(reply.session, Why.SESSION_EXPIRED)

    def on_wrote(self, endpoint: str, reply: Wrote) -> None:
        """Everything of our session up to a number is done."""
        if reply.session == self._writes.session:
            self._resent_from = 0
            self._on_answer(endpoint, self._write_pace)
            self.applied_index = max(self.applied_index, reply.applied_index)
            self._settled += self._writes.on_wrote(reply.through, reply.results)

    def on_values(self, endpoint: str, reply: Values) -> None:
        """Answers to a question; an older state than one we have seen is no answer (R5)."""
        if self._reads.is_older(reply, self.applied_index):
            self.older_answers += 1
            self._reads.ask_again(reply.request_id)
            if endpoint == self._target.endpoint:
                self._move(self._target.look_elsewhere)
            return
        self._on_answer(endpoint, self._read_pace)
        self.applied_index = max(self.applied_index, reply.applied_index)
        self._settled += self._reads.on_values(reply)

    def on_status(self, _: str, __: Status) -> None:
        """Asked for by nobody here."""

    def on_refused(self, endpoint: str, reply: Refused) -> None:
        """The server in use cannot or will not: why decides what to do."""
        if reply.session not in (0, self._writes.session):
            return  # of a session that is over
        is_opening = not reply.session and reply.number == self._opening
        if reply.session and reply.reason in CERTAIN:
            self._on_certain(endpoint, reply)
        if is_opening:
            self._opening = None
        elif not reply.session:
            self._reads.ask_again(reply.number)
        if endpoint != self._target.endpoint:
            return
        if reply.reason in REFUSALS:
            REFUSALS[reply.reason](self, reply)
        elif reply.session or is_opening:
            self._back_off_writes(reply)
        else:
            self._read_pace.back_off(self._now, Why.OVERLOADED)

    def on_not_leader(self, reply: Refused) -> None:
        """Go to whom it names, or look around."""
        self._move(lambda now: self._target.follow(reply.leader, now))

    def on_out_of_order(self, reply: Refused) -> None:
        """An earlier frame did not arrive; every frame behind it says so, and one is enough."""
        if reply.number != self._resent_from:
            self._resent_from = reply.number
            self._writes.resend(reply.number)

    def on_session_expired(self, _: Refused) -> None:
        """Open another."""
        self._settled += self._writes.restart(0, Why.SESSION_EXPIRED)

    def on_bad_version(self, _: Refused) -> None:
        """No server of this cluster will understand."""
        self._settled += self._writes.give_up_all(Why.BAD_VERSION)
        self._settled += self._reads.give_up_all(Why.BAD_VERSION)

    def on_too_large(self, _: Refused) -> None:
        """The operation was settled; its number does nothing from now on."""
        self._writes.resend()

    def _on_certain(self, endpoint: str, reply: Refused) -> None:
        """Nothing of that transmission was executed, and some of it never will be."""
        calls = self._writes.on_refused(endpoint, reply.number)
        if reply.reason == Reason.DISK_FULL:
            certain = [call for call in calls if not call.doubts]
            self._settled += self._writes.give_up(certain, Why.DISK_FULL)
        elif reply.reason == Reason.TOO_LARGE:
            call = self._writes.call_of(reply.number)
            self._settled += self._writes.give_up([call] if call else [], Why.TOO_LARGE)

    def _back_off_writes(self, reply: Refused) -> None:
        is_full = reply.reason == Reason.DISK_FULL
        if is_full and not reply.session:  # without one, nothing was sent that could be in doubt
            self._settled += self._writes.give_up_all(Why.DISK_FULL)
        self._write_pace.back_off(self._now, Why.DISK_FULL if is_full else Why.OVERLOADED)
        if reply.session:
            self._writes.resend(reply.number)

    def _on_answer(self, endpoint: str, pace: Pace) -> None:
        self._target.on_answer(self._now)
        if endpoint == self._target.endpoint:
            pace.on_answer()

    def _move(self, choose: Callable[[float], None]) -> None:
        """Ask another server, for everything that is not settled."""
        choose(self._now)
        self._write_pace.begin()
        self._read_pace.begin()
        self._ask_all_again()

    def _ask_all_again(self) -> None:
        self._opening = None
        self._resent_from = 0
        self._writes.resend()
        self._reads.ask_all_again()


HANDLERS: dict[type, Callable[[Router, str, Any], None]] = {
    Welcome: Router.on_welcome,
    SessionOpened: Router.on_session_opened,
    Wrote: Router.on_wrote,
    Values: Router.on_values,
    Status: Router.on_status,
    Refused: Router.on_refused,
}

REFUSALS: dict[int, Callable[[Router, Refused], None]] = {
    Reason.NOT_LEADER: Router.on_not_leader,
    Reason.UNSEATED: Router.on_not_leader,
    Reason.STOPPING: Router.on_not_leader,
    Reason.OUT_OF_ORDER: Router.on_out_of_order,
    Reason.TOO_LARGE: Router.on_too_large,
    Reason.SESSION_EXPIRED: Router.on_session_expired,
    Reason.BAD_VERSION: Router.on_bad_version,
}
"""After any other refusal (OVERLOADED, DISK_FULL, ...) what was asked is asked again later."""
