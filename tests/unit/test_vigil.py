"""actors/vigil.py: to look out for a moment, and to learn whether that is worth it."""

import pytest

from actors.vigil import MOMENT_S, Vigil
from kv.worth import SKIPPED_MAX

WORD = ["a word"]
LOOK_S = MOMENT_S / 100
"""What a look takes of the core."""

GONE = 2 * MOMENT_S
"""How long somebody else has the core."""


class Outlook:
    """A core on which time passes while others have it, and a word that comes at a moment."""

    def __init__(self) -> None:
        self.now = 0.0
        self.word_at = float("inf")
        self.others_s = MOMENT_S / 10
        self.looks = 0
        self.spent_s = 0.0
        self.vigil = Vigil(lambda: self.now, self._give_way, lambda: self.spent_s)

    def keep(self) -> list[str]:
        """What comes of it."""
        return self.vigil.keep(self._look)

    def tries(self, answers: int) -> int:
        """After how many of so many answers it looked out at all."""
        tried = 0
        for _ in range(answers):
            looks = self.looks
            self.keep()
            tried += self.looks > looks
        return tried

    def _give_way(self) -> None:
        self.now += self.others_s

    def _look(self) -> list[str]:
        self.looks += 1
        self.spent_s += LOOK_S
        return WORD if self.now >= self.word_at else []


def test_a_word_that_comes_within_the_moment_is_found():
    """Whoever was answered asks again."""
    outlook = Outlook()
    for _ in range(3):
        outlook.word_at = outlook.now + MOMENT_S / 2
        assert outlook.keep() == WORD


def test_nothing_comes_and_it_ends_with_the_moment():
    """Then a sleep is cheaper."""
    outlook = Outlook()
    assert outlook.keep() == []
    assert outlook.now == pytest.approx(MOMENT_S, rel=0.2)


def test_others_have_the_core_before_each_look():
    """What is to come may be on its way through them."""
    outlook = Outlook()
    outlook.word_at = 0.5 * outlook.others_s
    assert outlook.keep() == WORD and outlook.looks == 1


def test_where_nothing_comes_it_is_tried_less_and_less():
    """A client that asks now and then costs next to nothing."""
    outlook = Outlook()
    assert outlook.tries(11) == 4  # the 1st, 3rd, 6th and 11th: 1, 2 and 4 are left out
    outlook.tries(1_000)
    assert outlook.tries(10 * (SKIPPED_MAX + 1)) == 10


def test_once_it_is_worth_it_again_it_is_kept_each_time():
    """It hears of a new lone client within so many answers."""
    outlook = Outlook()
    outlook.tries(1_000)
    outlook.word_at = 0.0
    outlook.tries(SKIPPED_MAX + 1)
    assert outlook.tries(10) == 10


def test_a_word_that_others_kept_waiting_was_not_worth_it():
    """Beside a stranger that computes, to give way takes milliseconds: better to sleep."""
    outlook = Outlook()
    outlook.word_at, outlook.others_s = 0.0, GONE
    assert outlook.keep() == WORD, "it is taken all the same"
    assert outlook.keep() == [], "and the next one slept for"


def test_what_it_took_of_the_core_is_counted():
    """And what others had of it meanwhile is not."""
    outlook = Outlook()
    outlook.tries(10)
    assert outlook.vigil.awake_s == pytest.approx(outlook.looks * LOOK_S)
