"""A clerk's writes: the session that numbers them, how many are asked at a time, how they end."""

from collections import deque
from collections.abc import Callable, Sequence
from random import Random

from kv.outcomes import Settled, Why
from kv.pace import Pace
from kv.writequeue import Bounds, WriteQueue
from messages.client import (
    ClientRequest,
    OpenSession,
    Reason,
    Refused,
    SessionOpened,
    Wrote,
)

SESSION_FRESH_S = 1_800.0
"""A session unused for half the time that servers keep it is not used again."""

OPENINGS_MAX = 16
"""Questions for a session whose answers are still welcome; an answer to an older one is wasted."""

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


class Writing:
    """The side of a clerk that changes something; time in seconds is handed in."""

    def __init__(self, bounds: Bounds, random: Random, now: float, settled: list[Settled]) -> None:
        self.pace = Pace(random)
        self.queue = WriteQueue(bounds)
        self.opening: int | None = None  # the question for a session that is due
        self._settled = settled  # calls that end are put here
        self._openings: deque[int] = deque(maxlen=OPENINGS_MAX)  # it and those asked elsewhere
        self._resent_from = 0  # the number that was last said to be missing
        self._session_used_at = now

    def questions(
        self, endpoint: str, next_id: Callable[[], int], now: float
    ) -> Sequence[ClientRequest]:
        """The next writes, of which there are some, or first the question for a session."""
        if self.opening is not None or now < self.pace.not_before:
            return ()
        if not self.queue.on_way and now - self._session_used_at > SESSION_FRESH_S:
            self._restart(0)
            if not self.queue.live:
                return ()  # what waited may have been executed long ago, and ended with its session
        if self.queue.session:
            self._session_used_at = now
            return self.queue.frames(endpoint, self.pace.window)
        self.opening = next_id()
        self._openings.append(self.opening)
        return (OpenSession(self.opening),)

    def ask_all_again(self) -> None:
        """Whoever is asked next hears all writes, or the question for a session."""
        self.opening = None
        self._resent_from = 0
        self.queue.send_all_again()

    def give_up_all(self, why: Why) -> None:
        """Settle every call."""
        self._settled += self.queue.give_up_all(why)

    def on_opened(self, reply: SessionOpened, now: float) -> bool:
        """Whether it is the session that we lack; any other is forgotten by itself."""
        if reply.request_id not in self._openings:
            return False
        self._session_used_at = now
        self._restart(reply.session)
        return True

    def on_wrote(self, reply: Wrote) -> bool:
        """Everything of our session up to a number is done; whether it is of our session."""
        if reply.session != self.queue.session:
            return False
        self._resent_from = 0
        self._settled += self.queue.on_wrote(reply.through, reply.results)
        return True

    def concerns(self, reply: Refused) -> bool:
        """Whether a write was refused, or the question for a session, asked now or earlier."""
        return reply.session != 0 or reply.number in self._openings

    def on_refused(self, endpoint: str, reply: Refused, *, in_use: bool) -> bool:
        """Settle what is certain; whether the server in use refused what it was asked last.

        Only then is there anything to do about that server: a late refusal of what was asked
        before the last move is news of a question that is asked again already.
        """
        if not reply.session:
            return self._on_opening_refused(reply)
        if reply.session != self.queue.session:
            return False  # of a session that is over
        if reply.reason == Reason.OUT_OF_ORDER:
            if in_use:
                self._on_out_of_order(endpoint, reply.number)
            return False
        is_news = self._on_transmission_refused(endpoint, reply)
        if in_use and reply.reason == Reason.TOO_LARGE:
            self.queue.resend()  # that operation was settled, its number does nothing from now on
            return False
        if in_use and reply.reason == Reason.SESSION_EXPIRED:
            self._restart(0)
            return False
        return in_use and is_news

    def back_off(self, reply: Refused, now: float) -> None:
        """The server in use does not take more now."""
        is_full = reply.reason == Reason.DISK_FULL
        if is_full and not reply.session:  # without one, nothing was sent that could be in doubt
            self.give_up_all(Why.DISK_FULL)
        self.pace.back_off(now, Why.DISK_FULL if is_full else Why.OVERLOADED)
        if reply.session:
            self.queue.resend(reply.number)

    def _on_opening_refused(self, reply: Refused) -> bool:
        self._openings.remove(reply.number)
        is_news = reply.number == self.opening
        if is_news:
            self.opening = None
        return is_news

    def _on_transmission_refused(self, endpoint: str, reply: Refused) -> bool:
        """Of a certain refusal: nothing of it was executed, and some of it never will be."""
        is_certain = reply.reason in CERTAIN
        refusal = self.queue.on_refused(endpoint, reply.number, is_certain=is_certain)
        if reply.reason == Reason.DISK_FULL:
            certain = [call for call in refusal.cleared if not call.doubts]
            self._settled += self.queue.give_up(certain, Why.DISK_FULL)
        elif reply.reason == Reason.TOO_LARGE:
            call = self.queue.call_of(reply.number)
            self._settled += self.queue.give_up([call] if call else [], Why.TOO_LARGE)
        return refusal.is_news

    def _on_out_of_order(self, endpoint: str, number: int) -> None:
        """An earlier frame did not arrive; every frame behind it says so, and one is enough."""
        if number != self._resent_from:
            self._resent_from = number
            self.queue.write_off(endpoint)
            self.queue.resend(number)

    def _restart(self, session: int) -> None:
        self.opening = None
        self._openings.clear()
        self._settled += self.queue.restart(session, Why.SESSION_EXPIRED)
