"""actors/seat.py: on which core a node's threads run."""

import errno
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from actors import seat as seat_module
from actors.manners import TASKS, Manners, Waited, read_waited
from actors.seat import (
    CONTENDED_MIN,
    CROWDED,
    OWN_MAX,
    QUIET,
    ROOM,
    SPARE_ENOUGH,
    SPARE_MIN,
    Seat,
    Spent,
    blocks_written,
    choose,
    idle_shares,
    is_contended,
    read_cores,
)

STAT = """cpu  900 0 90 9000 10 0 0 0 0 0
cpu0 100 5 20 700 30 1 2 3 0 0
cpu7 50 0 10 900 0 0 0 0 0 0
cpu8 1 2

intr 1 2 3
"""


@pytest.fixture(autouse=True)
def _the_tests_go_on_as_they_are(monkeypatch):
    """A look may change how all threads of this process are scheduled."""
    monkeypatch.setattr(seat_module, "behave", lambda *_, **__: True)


def test_a_node_goes_home_if_there_is_room_else_where_most_time_is():
    """It would be there with what it does, half of it counted; unbound a part is there already."""
    assert choose(None, {0: ROOM, 1: 0.9, 2: 1.0}, own=0.5, home=0, contended=True) == 0
    assert choose(None, {0: ROOM - 0.01, 1: 0.9, 2: 1.0}, own=0.0, home=0, contended=True) == 2
    assert choose(2, {0: ROOM + 0.25, 1: 1.0, 2: 0.9}, own=0.5, home=0, contended=True) == 0
    assert choose(2, {0: ROOM + 0.24, 1: 1.0, 2: 0.9}, own=0.5, home=0, contended=True) == 2


def test_a_core_is_kept_while_it_has_time():
    """Another one that has more is not worth the caches."""
    assert choose(1, {0: 1.0, 1: CROWDED}, own=0.1, home=1, contended=True) == 1


def test_nodes_that_write_sit_apart_and_others_together(monkeypatch):
    """Each waits for a disk of its own at the same time; of a read each waits for the others."""
    written = iter([5, 5, 6, 6])  # when it was made, and at each look
    homes = []
    monkeypatch.setattr(seat_module, "blocks_written", lambda: next(written))
    monkeypatch.setattr(seat_module, "choose", lambda _, __, ___, home, **____: homes.append(home))
    seat = Seat(2)
    seat._cores = [3, 4]

    for _ in range(3):
        seat.look(0.0)

    assert homes == [4, 3, 4]


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="only Linux tells")
def test_what_is_written_is_seen(tmp_path):
    """In blocks of 512 bytes, as proc(5) says; on a file system in memory both are nothing."""
    with (tmp_path / "file").open("wb") as file:
        file.write(bytes(1 << 20))
        file.flush()
        os.fsync(file.fileno())

    told = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())

    assert blocks_written() == int(told["write_bytes"]) // 512


def test_a_core_that_others_keep_busy_is_left():
    """Who is bound cannot get away by itself; several at once must not all go to the same one."""
    crowded = CROWDED - 0.01
    assert choose(0, {0: crowded, 1: 0.7}, own=0.1, home=0, contended=True) is None
    assert choose(None, {0: crowded, 1: 0.7}, own=0.1, home=0, contended=True) == 1


def test_a_core_that_is_busy_with_those_who_give_way_is_kept():
    """Who looks out for a word keeps a core busy, and nobody waiting."""
    crowded = CROWDED - 0.01
    assert choose(0, {0: crowded, 1: 0.7}, own=0.1, home=0, contended=False) == 0
    assert choose(0, {0: 0.0, 1: SPARE_MIN}, own=0.1, home=0, contended=False) == 0


def test_who_waits_for_cores_is_known_by_it():
    """Where it is not told a busy core may be one that others need."""
    before = Waited(ran=1.0, waited=1.0)
    long = CONTENDED_MIN + 0.01
    assert is_contended(before, Waited(1.0 + long, 1.0 + long), passed_s=1.0)
    assert not is_contended(before, Waited(1.0 + 3 * long, 1.0 + long), passed_s=1.0)
    assert not is_contended(before, Waited(1.0, 1.0 + CONTENDED_MIN - 0.01), passed_s=1.0)
    assert is_contended(None, before, passed_s=1.0) and is_contended(before, None, passed_s=1.0)


def test_to_look_out_is_time_to_spare(monkeypatch):
    """Of the core it has, or of all of them; and it is not work."""
    found = []
    monkeypatch.setattr(seat_module, "read_cores", lambda _: dict.fromkeys((3, 4), Spent(0, 0)))
    seat = Seat(1)
    seat._cores, seat._at, seat._own_s = [3, 4], 0.0, 0.0
    now = iter([1.0, 2.0])
    clock = SimpleNamespace(monotonic=lambda: next(now), process_time=lambda: 0.5)
    monkeypatch.setattr(seat_module, "time", clock)

    def remember(_, idle, own, __, *, contended):
        assert isinstance(contended, bool)
        found.append((idle, own))
        return 3

    monkeypatch.setattr(seat_module, "choose", remember)
    monkeypatch.setattr(seat_module, "_run_on", lambda _: True)
    seat.look(0.2)
    seat.look(0.3)

    assert found[0] == ({3: 0.1, 4: 0.1}, 0.3)
    assert found[1] == ({3: pytest.approx(0.1), 4: 0.0}, pytest.approx(-0.1))


def test_a_node_that_is_let_go_stays_so_where_no_core_is_quiet():
    """There is nowhere to go."""
    assert choose(None, {0: 0.0, 1: QUIET - 0.01, 2: 0.64}, own=0.1, home=0, contended=True) == 2
    busy = dict.fromkeys(range(1, 6), QUIET - 0.01)
    assert choose(None, {0: 0.0, **busy}, own=0.1, home=0, contended=True) is None


@pytest.mark.parametrize(("core", "enough"), [(None, SPARE_ENOUGH), (0, SPARE_MIN)])
def test_where_little_is_left_of_all_cores_the_kernel_decides(core, enough):
    """It spreads threads as they come, and a busy machine gains by that."""
    assert (
        choose(core, {0: enough - 0.01, 1: enough - 0.01}, own=0.1, home=0, contended=True) is None
    )
    assert choose(core, {0: 0.1, 1: 2 * enough}, own=0.1, home=1, contended=True) is not None


def test_a_node_that_works_hard_has_all_cores():
    """Its threads work at the same time then: the disk, the sockets and Python."""
    assert choose(0, {0: 0.5, 1: 1.0}, own=OWN_MAX + 0.01, home=0, contended=True) is None


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

    monkeypatch.setattr(seat_module, "choose", lambda *_, **__: 0)
    monkeypatch.setattr(Path, "iterdir", refuse)
    seat = Seat(1)
    seat._cores = [0, 1]

    seat.look(0.0)

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
    monkeypatch.setattr(seat_module, "choose", lambda *_, **__: next(chosen))
    seat = Seat(1)
    try:
        for wake in wakes:
            seat.look(0.0)
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


@pytest.mark.skipif(read_waited(TASKS) is None, reason="this system does not tell")
def test_manners_are_told_to_the_threads_when_they_change(monkeypatch):
    """Not with each look, there are a dozen threads; and again, if they could not be found."""
    told = []
    found = iter([True, False, True])

    def behave(_, *, well):
        told.append(well)
        return next(found)

    monkeypatch.setattr(seat_module, "behave", behave)
    seat = Seat(1)
    seat._manners = manners = Manners(Waited(0.0, 0.0), 0.0)
    monkeypatch.setattr(manners, "look", lambda *_: None)
    for has_them in (False, True, True, False, False, False):
        manners.has_them = has_them
        seat.look(0.0)

    assert told == [True, False, False]
