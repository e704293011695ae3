"""Which server a clerk asks, and when it asks another.

A server that says nothing is left after a while, one that only answers slowly is not: asked twice,
it would be slower still. Meanwhile the others are asked who leads.
"""

from collections.abc import Iterable
from enum import Enum
from random import Random

from kv.outcomes import NEVER

SILENCE_S = 0.3
"""An answer is due for so long: ask around who leads. No word for twice as long: go elsewhere."""

LOOK_S = 0.1
"""How often to look whether it is time for that."""

RESEND_S = 2.0
"""Words, but no answer for so long: what was asked must be lost; doubled each time in a row."""

LOST_S = 0.02
"""Nobody leads, or nobody is there: look again after about this."""

SHUN_S = 0.05
"""A server that could not be reached is not looked for again before."""

SHUN_SILENT_S = 2.0
"""Nor one that said nothing, unless it says something."""

HINTS_MAX = 4
"""Servers may name each other as the leader for a moment: after so many hints in a row, wait."""

ENDPOINTS_MAX = 128
"""What was given and what servers named; at the bound a name that is new is not remembered."""


class Alarm(Enum):
    """What to do about answers that are due."""

    WAIT = "wait"
    ASK_AROUND = "ask around"
    RESEND = "resend"
    LEAVE = "leave"


class Target:
    """The server in use; time in seconds is handed in and never goes back."""

    def __init__(self, endpoints: Iterable[str], random: Random, now: float) -> None:
        self.endpoints = list(dict.fromkeys(endpoints))
        assert self.endpoints
        self.endpoint = random.choice(self.endpoints)
        self.not_before = now  # nothing is sent till then
        self.is_greeted = False
        self._random = random
        self._next = self.endpoints.index(self.endpoint)
        self._resend_s = RESEND_S
        self._hints = 0
        self._heard_at = now
        self._answered_at = now
        self._asked_around_at = now
        self._shunned: dict[str, float] = {}  # until when

    def begin(self, now: float) -> None:
        """Answers are due from now on."""
        self._heard_at = self._answered_at = self._asked_around_at = now

    def on_word(self, endpoint: str, now: float) -> None:
        """It speaks, whatever it says."""
        if endpoint in self._shunned:
            del self._shunned[endpoint]
        if endpoint == self.endpoint:
            self._heard_at = now

    def on_answer(self, now: float) -> None:
        """Something was done: whatever was wrong is over."""
        self._answered_at = now
        self._hints = 0
        self._resend_s = RESEND_S

    def alarm(self, now: float) -> Alarm:
        """Whether it is time to do something about answers that are due."""
        if now - self._heard_at >= 2 * SILENCE_S:
            return Alarm.LEAVE
        if now - self._answered_at >= self._resend_s:
            return Alarm.RESEND
        if self.is_overdue(now) and now - self._asked_around_at >= SILENCE_S:
            return Alarm.ASK_AROUND
        return Alarm.WAIT

    def is_overdue(self, now: float) -> bool:
        """Whether it is worth listening to what others say of the leader."""
        return now - self._answered_at >= SILENCE_S

    def due(self, now: float) -> float:
        """When to look again."""
        return self.not_before if now < self.not_before else now + LOOK_S

    def whom_to_ask(self, now: float) -> list[str]:
        """Who may know more: the server in use, and one of the others after the other."""
        self._asked_around_at = now
        self._next = (self._next + 1) % len(self.endpoints)
        return list(dict.fromkeys([self.endpoint, self.endpoints[self._next]]))

    def go_to(self, endpoint: str, now: float) -> None:
        """Ask that server from now on."""
        if endpoint not in self.endpoints and len(self.endpoints) < ENDPOINTS_MAX:
            self.endpoints.append(endpoint)
        self.endpoint = endpoint
        self.is_greeted = False
        self.begin(now)

    def follow(self, hint: str, now: float) -> None:
        """Ask the leader that somebody named, if it can be reached; else look around."""
        self._hints += 1
        if not hint or self._is_shunned(hint, now):
            self.look_elsewhere(now)
            return
        self.go_to(hint, now)
        if self._hints > HINTS_MAX:
            self._wait(LOST_S, now)

    def look_elsewhere(self, now: float) -> None:
        """Ask the next server, after a moment: whoever is to lead may not know it yet."""
        count = len(self.endpoints)
        order = [self.endpoints[(self._next + step) % count] for step in range(1, count + 1)]
        others = [endpoint for endpoint in order if endpoint != self.endpoint] or order
        known = [endpoint for endpoint in others if not self._is_shunned(endpoint, now)]
        found = (known or others)[0]
        self._next = self.endpoints.index(found)
        self.go_to(found, now)
        self._wait(LOST_S, now)

    def shun(self, endpoint: str, now: float, *, silent: bool) -> None:
        """It cannot be reached, or says nothing: others come first for a while."""
        self._shunned[endpoint] = now + (SHUN_SILENT_S if silent else SHUN_S)

    def be_patient(self, now: float) -> None:
        """It was asked again; the next time is later, lest a slow server hear all many times."""
        self._answered_at = now
        self._resend_s *= 2

    def _is_shunned(self, endpoint: str, now: float) -> bool:
        return now < self._shunned.get(endpoint, -NEVER)

    def _wait(self, about_s: float, now: float) -> None:
        self.not_before = now + about_s * self._random.uniform(0.5, 1.0)
