"""actors/seat.py: on which core a node's threads run."""

import errno
import os
import threading
from pathlib import Path

import pytest

from actors import seat as seat_module
from actors.seat import (
    CROWDED,
    OWN_MAX,
    QUIET,
    SPARE_ENOUGH,
    SPARE_MIN,
    Seat,
    Spent,
    choose,
    idle_shares,
    read_cores,
)

STAT = """cpu  900 0 90 9000 10 0 0 0 0 0
cpu0 100 5 20 700 30 1 2 3 0 0
cpu7 50 0 10 900 0 0 0 0 0 0
cpu8 1 2

intr 1 2 3
"""


def test_a_node_goes_home_if_it_can_else_where_most_time_is():
    """Nodes of one machine work for the same requests: two cores do so at the same time."""
    assert choose(None, {0: QUIET, 1: 0.9, 2: 1.0}, own=0.1, home=0) == 0
    assert choose(None, {0: QUIET - 0.01, 1: 0.9, 2: 1.0}, own=0.1, home=0) == 2


def test_a_core_is_kept_while_it_has_time():
    """Another one that has more is not worth the caches."""
    assert choose(1, {0: 1.0, 1: CROWDED}, own=0.1, home=0) == 1


def test_a_core_that_others_keep_busy_is_left_for_one_that_is_not():
    """Who is bound to a core cannot get away from it by itself."""
    crowded = CROWDED - 0.01
    assert choose(0, {0: crowded, 1: 0.6}, own=0.1, home=0) == 1
    assert choose(1, {0: 0.6, 1: crowded}, own=0.1, home=0) == 0


def test_a_core_is_kept_where_no_other_is_quiet():
    """There is nowhere to go; the kernel is asked when little is left of all."""
    assert choose(0, {0: 0.0, 1: 0.4, 2: 0.6}, own=0.1, home=0) == 2
    assert choose(0, {0: 0.0, 1: 0.44, 2: 0.44, 3: 0.44}, own=0.1, home=0) == 0


@pytest.mark.parametrize(("core", "enough"), [(None, SPARE_ENOUGH), (0, SPARE_MIN)])
def test_where_little_is_left_of_all_cores_the_kernel_decides(core, enough):
    """It spreads threads as they come, and a busy machine gains by that."""
    assert choose(core, {0: enough - 0.01, 1: enough - 0.01}, own=0.1, home=0) is None
    assert choose(core, {0: 0.1, 1: 2 * enough}, own=0.1, home=0) is not None


def test_a_node_that_works_hard_has_all_cores():
    """Its threads work at the same time then: the disk, the sockets and Python."""
    assert choose(0, {0: 0.5, 1: 1.0}, own=OWN_MAX + 0.01, home=0) is None


def test_what_linux_counts_is_read(tmp_path):
    """proc(5): waiting for a disk is time to spare; the first eight numbers are all there is."""
    (tmp_path / "stat").write_text(STAT)

    assert read_cores(tmp_path / "stat") == {0: Spent(861, 730), 7: Spent(960, 900)}


def test_what_cannot_be_read_is_nothing_to_choose_by(tmp_path, monkeypatch):
    """A sandbox shows no cores; a node goes on as the kernel likes."""
    assert read_cores(tmp_path / "stat") == {}
    monkeypatch.setattr(seat_module, "_STAT", tmp_path / "stat")

    assert not Seat(1).is_choice


def test_a_node_without_a_descriptor_left_stays_where_it_is(monkeypatch):
    """It is asked to move again with the next look, and does not end."""

    def refuse(_):
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr(seat_module, "choose", lambda *_: 0)
    monkeypatch.setattr(Path, "iterdir", refuse)
    seat = Seat(1)
    seat._cores = [0, 1]

    seat.look()

    assert seat.core is None


def test_shares_are_of_the_time_between():
    """A core that is new, or that stood still, has none."""
    before = {0: Spent(100, 50), 1: Spent(100, 50)}
    now = {0: Spent(200, 125), 1: Spent(100, 50), 2: Spent(10, 10)}

    assert idle_shares(before, now) == {0: 0.75}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there is one core")
def test_all_threads_move_together_and_may_leave_again(monkeypatch):
    """The one that looks is not the one that works."""
    cores = os.sched_getaffinity(0)
    seen, done = [], threading.Event()
    wakes = [threading.Event(), threading.Event()]

    def work():
        for wake in wakes:
            wake.wait()
            seen.append(os.sched_getaffinity(0))
        done.set()

    threading.Thread(target=work, daemon=True).start()
    chosen = iter([min(cores), None])
    monkeypatch.setattr(seat_module, "choose", lambda *_: next(chosen))
    seat = Seat(1)
    try:
        for wake in wakes:
            seat.look()
            count = len(seen)
            wake.set()
            while len(seen) == count and not done.wait(0.01):
                pass
    finally:
        seat_module._run_on(cores)

    assert seen == [{min(cores)}, cores]


def test_elsewhere_than_on_linux_there_is_no_choice(monkeypatch):
    """No core can be asked for there."""
    monkeypatch.delattr(os, "sched_getaffinity")

    assert not Seat(1).is_choice
