"""The Clerk's brain: whom to ask, when to ask again, and how each call ends.

It speaks to one server at a time, the one it takes for the leader. Writes are safe to send again
anywhere, because their session makes each take effect once; reads change nothing.
"""

from collections.abc import Callable, Iterable
from random import Random
from typing import Any, NamedTuple

from kv.outcomes import Failed, Why
from kv.readcalls import ReadCall, ReadCalls
from kv.writequeue import NOTHING_AT_ALL, Settled, Token, WriteQueue
from messages.client import (
    KEY_BYTES_LIMIT,
    STALE,
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

WINDOW_OPERATIONS = 8_192
"""Writes on their way at a time; the others wait in the clerk."""

SILENCE_S = 0.3
"""No word for so long while an answer is due: say Hello; twice as long: ask another server."""

RESEND_S = 2.0
"""Words, but no answer to what was asked for so long: send it again."""

LOST_S = 0.02
"""Nobody leads, or nobody is there: look again after about this."""

BACK_OFF_S_MIN, BACK_OFF_S_MAX = 0.005, 0.2
"""Waits after OVERLOADED, doubled each time until something was answered."""

EXPIRE_S = 0.02
"""Deadlines are looked at this often."""

SESSION_FRESH_S = 1_800.0
"""A session unused for half the time that servers keep it is not used again."""


class Turn(NamedTuple):
    """What one turn leads to: frames to send, in order, and calls that ended."""

    requests: list[tuple[str, ClientRequest]]
    settled: list[Settled]


class Router:
    """All calls of one clerk; time in seconds is handed in and never goes back."""

    def __init__(self, endpoints: Iterable[str], random: Random, now: float) -> None:
        self.endpoints = list(dict.fromkeys(endpoints))
        assert self.endpoints
        self.target = random.choice(self.endpoints)
        self.limits = (KEY_BYTES_LIMIT, VALUE_BYTES_LIMIT)
        self.applied_index = 0
        self._random = random
        self._writes = WriteQueue(CALLS_MAX, WINDOW_OPERATIONS)
        self._reads = ReadCalls(CALLS_MAX)
        self._now = now
        self._request_id = random.getrandbits(40)  # so that no answer to another clerk fits
        self._opening: int | None = None
        self._session_used_at = now
        self._greeted = False
        self._not_before = now  # nothing is sent till then
        self._back_off = BACK_OFF_S_MIN
        self._heard_at = now
        self._answered_at = now
        self._expired_at = now
        self._gone: dict[str, float] = {}  # endpoints that could not be reached, and when
        self._settled: list[Settled] = []

    @property
    def has_work(self) -> bool:
        """Whether anybody waits."""
        return self._writes.has_work or self._reads.has_work

    def write(self, token: Token, operation: Operation, deadline: float) -> None:
        """Take a write; it takes effect after all writes taken before."""
        _, key, value = operation
        keys_max, values_max = self.limits
        if not 0 < len(key) <= keys_max or len(value) > values_max:
            self._settled.append((token, Failed(Why.TOO_LARGE)))
        elif not self._writes.submit(token, operation, deadline):
            self._settled.append((token, Failed(Why.QUEUE_FULL)))

    def read(self, token: Token, key: bytes, level: int, deadline: float) -> None:
        """Take a read."""
        if not 0 < len(key) <= self.limits[0]:
            self._settled.append((token, Failed(Why.TOO_LARGE)))
        elif not self._reads.submit(ReadCall(token, key, level, deadline)):
            self._settled.append((token, Failed(Why.QUEUE_FULL)))

    def on_reply(self, endpoint: str, reply: ClientReply, now: float) -> None:
        """A server said something; what only the one in use may say is dropped of others."""
        self._now = now
        if endpoint == self.target:
            self._heard_at = now
        HANDLERS[type(reply)](self, endpoint, reply)

    def on_unreachable(self, endpoint: str, now: float) -> None:
        """There is no connection to that server now."""
        self._now = now
        self._gone[endpoint] = now
        if endpoint == self.target:
            self._look_elsewhere()

    def turn(self, now: float) -> Turn:
        """Everything to be sent now, and every call that ended; call it often while has_work."""
        idle = now - self._now > SILENCE_S and not self._is_waiting()
        self._now = now
        if idle:
            self._heard_at = self._answered_at = now
        if now - self._expired_at >= EXPIRE_S:
            self._expired_at = now
            self._settle(self._writes.expire(now, Why.UNAVAILABLE))
            self._settle(self._reads.expire(now, Why.UNAVAILABLE))
        requests: list[ClientRequest] = []
        if self.has_work and now >= self._not_before:
            requests = self._requests()
        settled, self._settled = self._settled, []
        return Turn([(self.target, request) for request in requests], settled)

    def close(self) -> list[Settled]:
        """End every call as what is known of it."""
        self._settle(self._writes.give_up_all(Why.CLOSED))
        self._settle(self._reads.give_up_all(Why.CLOSED))
        settled, self._settled = self._settled, []
        return settled

    # What to send.

    def _requests(self) -> list[ClientRequest]:
        self._watch_silence()
        requests: list[ClientRequest] = []
        if not self._greeted:
            self._greeted = True
            requests.append(Hello(self._next_id(), VERSION))
        if not self._is_waiting():
            self._heard_at = self._answered_at = self._now
        if self._writes.has_work:
            requests += self._write_requests()
        for question in self._reads.questions(self._request_id + 1):
            self._request_id = question.request_id
            requests.append(question)
        return requests

    def _write_requests(self) -> list[ClientRequest]:
        writes = self._writes
        stale = self._now - self._session_used_at > SESSION_FRESH_S
        if writes.session and stale and not writes.is_waiting:
            self._settle(writes.restart(0))
        if writes.session:
            self._session_used_at = self._now
            return list(writes.frames(self.target))
        if self._opening is not None:
            return []
        self._opening = self._next_id()
        return [OpenSession(self._opening)]

    def _watch_silence(self) -> None:
        """A server that hangs is left after twice SILENCE_S; one that only answers slowly is not."""
        if not self._is_waiting():
            return
        silence = self._now - self._heard_at
        if silence >= 2 * SILENCE_S:
            self._look_elsewhere()
        elif silence >= SILENCE_S:
            self._greeted = False
        elif self._now - self._answered_at >= RESEND_S:
            self._answered_at = self._now
            self._ask_all_again()

    def _is_waiting(self) -> bool:
        return self._writes.is_waiting or self._reads.is_waiting or self._opening is not None

    def _next_id(self) -> int:
        self._request_id += 1
        return self._request_id

    # What servers say.

    def on_welcome(self, endpoint: str, reply: Welcome) -> None:
        """Its limits are the cluster's; a follower names the leader without being asked."""
        self.limits = (reply.key_bytes_max, reply.value_bytes_max)
        if endpoint == self.target and reply.leader not in ("", self.target):
            self._go_to(reply.leader)

    def on_session_opened(self, _: str, reply: SessionOpened) -> None:
        """Ours, unless we asked again meanwhile; then it will be forgotten."""
        if reply.request_id == self._opening:
            self._answered()
            self._opening = None
            self._settle(self._writes.restart(reply.session))

    def on_wrote(self, _: str, reply: Wrote) -> None:
        """Everything of our session up to a number is done."""
        if reply.session == self._writes.session:
            self._answered()
            self.applied_index = max(self.applied_index, reply.applied_index)
            self._settle(self._writes.on_wrote(reply.through, reply.results))

    def on_values(self, endpoint: str, reply: Values) -> None:
        """Answers to a question; an older state than one we have seen is no answer (R5)."""
        self._answered()
        if reply.applied_index < self.applied_index and self._reads.level_of(reply) != STALE:
            self._reads.ask_again(reply.request_id)
            if endpoint == self.target:
                self._look_elsewhere()
            return
        self.applied_index = max(self.applied_index, reply.applied_index)
        self._settle(self._reads.on_values(reply))

    def on_status(self, _: str, __: Status) -> None:
        """Asked for by nobody here."""

    def on_refused(self, endpoint: str, reply: Refused) -> None:
        """Nothing of that frame was executed; why decides what to do."""
        calls = ()
        if reply.session:
            if reply.session != self._writes.session:
                return  # of a session that is over
            calls = self._writes.on_refused(endpoint, reply.number)
        elif reply.number == self._opening:
            self._opening = None
        else:
            self._reads.ask_again(reply.number)
        if reply.reason == Reason.DISK_FULL:
            for call in calls:
                if not call.doubts:
                    self._settle(self._writes.give_up(call, Why.DISK_FULL))
        if endpoint == self.target:
            REFUSALS.get(reply.reason, Router._back_off_longer)(self, reply)

    def _follow_hint(self, reply: Refused) -> None:
        """Go to the leader it names, or look around where it names nobody that can be reached."""
        gone = self._now - self._gone.get(reply.leader, -1.0) < LOST_S
        if reply.leader and not gone:
            self._go_to(reply.leader)
        else:
            self._look_elsewhere()

    def _back_off_longer(self, _: Refused) -> None:
        self._ask_all_again()
        self._not_before = self._now + self._back_off * self._random.uniform(0.5, 1.0)
        self._back_off = min(2 * self._back_off, BACK_OFF_S_MAX)

    def _send_again(self, _: Refused) -> None:
        self._writes.resend()

    def _leave_out(self, reply: Refused) -> None:
        """One operation passes a limit of that server: settle it, its number does nothing."""
        call = self._writes.call_of(reply.number)
        if call is not None:
            self._settle(self._writes.give_up(call, Why.TOO_LARGE))
            call.operation = NOTHING_AT_ALL
        self._writes.resend()

    def _reopen(self, _: Refused) -> None:
        self._settle(self._writes.restart(0))

    def _end_all(self, _: Refused) -> None:
        self._settle(self._writes.give_up_all(Why.BAD_VERSION))
        self._settle(self._reads.give_up_all(Why.BAD_VERSION))

    # Where to go.

    def _go_to(self, endpoint: str) -> None:
        """Ask that server from now on, for everything that is not settled."""
        if endpoint not in self.endpoints:
            self.endpoints.append(endpoint)
        self.target = endpoint
        self._heard_at = self._answered_at = self._now
        self._greeted = False
        self._ask_all_again()

    def _look_elsewhere(self) -> None:
        """Ask the next server, after a moment: whoever is to lead may not know it yet."""
        place = self.endpoints.index(self.target) + 1
        self._go_to(self.endpoints[place % len(self.endpoints)])
        self._not_before = self._now + LOST_S * self._random.uniform(0.5, 1.0)

    def _ask_all_again(self) -> None:
        self._opening = None
        self._writes.resend()
        self._reads.ask_again()

    def _answered(self) -> None:
        self._answered_at = self._now
        self._back_off = BACK_OFF_S_MIN

    def _settle(self, settled: Iterable[Settled]) -> None:
        self._settled.extend(settled)


HANDLERS: dict[type, Callable[[Router, str, Any], None]] = {
    Welcome: Router.on_welcome,
    SessionOpened: Router.on_session_opened,
    Wrote: Router.on_wrote,
    Values: Router.on_values,
    Status: Router.on_status,
    Refused: Router.on_refused,
}

REFUSALS: dict[int, Callable[[Router, Refused], None]] = {
    Reason.NOT_LEADER: Router._follow_hint,
    Reason.STOPPING: Router._follow_hint,
    Reason.OUT_OF_ORDER: Router._send_again,
    Reason.TOO_LARGE: Router._leave_out,
    Reason.SESSION_EXPIRED: Router._reopen,
    Reason.BAD_VERSION: Router._end_all,
}
"""What else there is (OVERLOADED, DISK_FULL, ...) is asked again later."""
