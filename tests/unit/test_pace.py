"""kv/pace.py: how much a clerk asks at a time."""

from random import Random

from kv.pace import WINDOW_MAX, Pace


def test_the_window_stays_within_its_bounds_and_comes_to_the_upper_one():
    """It is doubled and halved: only a power of two for a bound is met and not passed."""
    pace, random = Pace(Random(1)), Random(2)
    for _ in range(200):
        random.choice((pace.on_answer, pace.on_answer, pace.ask_for_less))()
        assert 1 <= pace.window <= WINDOW_MAX

    for _ in range(WINDOW_MAX.bit_length()):
        pace.on_answer()
    assert pace.window == WINDOW_MAX
