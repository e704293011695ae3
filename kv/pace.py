"""How much a clerk asks at a time, and when it asks again after being told to back off."""

from random import Random

from kv.outcomes import NEVER, Why

WINDOW_FIRST, WINDOW_MAX = 64, 8_192
"""Calls on their way: few to a server that may not lead, twice as many after each answer, half as
many where that is more than it takes. Powers of two, so that doubling meets the bound."""

BACK_OFF_S_MIN, BACK_OFF_S_MAX = 0.005, 0.2
"""Waits after a refusal, doubled each time until something was answered."""


class Pace:
    """Of the writes, or of the reads: a full disk stops the one and not the other (O1)."""

    def __init__(self, random: Random) -> None:
        self.window = WINDOW_FIRST
        self.not_before = -NEVER
        self.why = Why.UNAVAILABLE  # what a call that ends now has waited for
        self._random = random
        self._back_off_s = BACK_OFF_S_MIN

    def begin(self) -> None:
        """Another server is asked: it may do better, and may not lead."""
        self.window = WINDOW_FIRST
        self.not_before = -NEVER
        self.why = Why.UNAVAILABLE

    def on_answer(self) -> None:
        """Something was done."""
        if self.window < WINDOW_MAX:
            self.window *= 2
        self.why = Why.UNAVAILABLE
        self._back_off_s = BACK_OFF_S_MIN

    def ask_for_less(self) -> None:
        """So many answers together were too long; the server is well, so there is no wait."""
        self.window = max(1, self.window // 2)

    def back_off(self, now: float, why: Why) -> None:
        """It was refused; several refusals at a time count once."""
        self.why = why
        if now < self.not_before:
            return
        self.window = max(1, self.window // 2)
        self.not_before = now + self._back_off_s * self._random.uniform(0.5, 1.0)
        self._back_off_s = min(2 * self._back_off_s, BACK_OFF_S_MAX)
