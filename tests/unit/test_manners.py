"""actors/manners.py: whether a node's threads interrupt whoever runs."""

import os
import threading
from pathlib import Path

import pytest

from actors.manners import (
    RUDE_S_MAX,
    RUDE_S_MIN,
    SPARE_MIN,
    TASKS,
    WAITED_MAX,
    WAITED_MIN_S,
    Manners,
    Waited,
    behave,
    may_choose,
    read_waited,
)

tells = pytest.mark.skipif(read_waited(TASKS) is None, reason="this system does not tell")
may = pytest.mark.skipif(not may_choose(), reason="it was chosen for these tests already")


class Node:
    """Manners, and what the threads did so far."""

    def __init__(self) -> None:
        self.ran = self.waited = self.now = 0.0
        self.manners = Manners(Waited(0.0, 0.0), self.now)

    def look(
        self, ran: float = 0.0, waited: float = 0.0, spare: float = 1.0, after: float = 0.25
    ) -> bool:
        """Whether it has them, when so much was done since the last look."""
        self.ran, self.waited, self.now = self.ran + ran, self.waited + waited, self.now + after
        self.manners.look(Waited(self.ran, self.waited), spare, self.now)
        return self.manners.has_them


def test_a_node_has_manners_where_cores_have_time():
    """At first it has none: who else is there is not known yet."""
    node = Node()
    assert not node.manners.has_them
    assert not node.look(spare=SPARE_MIN - 0.01)
    assert node.look(spare=SPARE_MIN)
    assert node.look(spare=0.0, ran=0.2, waited=0.2 * WAITED_MAX), "its own cluster's load"


def test_it_forgets_them_beside_a_stranger_that_computes():
    """It waits many times as long as it runs: each step waits for the stranger's time to end."""
    node = Node()
    assert node.look()
    assert not node.look(ran=0.05, waited=0.05 * WAITED_MAX + 0.01)


def test_short_waits_are_added_up():
    """A node at rest runs for a few milliseconds, and may by accident wait for more."""
    node = Node()
    assert node.look()
    assert node.look(ran=0.001, waited=WAITED_MIN_S / 2 - 0.001)
    assert node.look(ran=0.001, waited=WAITED_MIN_S / 2)
    assert not node.look(ran=0.001, waited=0.002)


def test_what_was_waited_for_earlier_does_not_count():
    """Before it had manners, or when it was judged: neither is forgiven nor held against it."""
    node = Node()
    assert not node.look(ran=0.001, waited=9.0, spare=0.0)
    assert node.look(ran=0.001, waited=9.0)
    assert node.look(ran=0.1, waited=0.1)
    assert not node.look(ran=0.01, waited=0.01 * WAITED_MAX + WAITED_MIN_S)


def test_it_tries_again_later_each_time():
    """A stranger that stays costs less and less, and not for ever: it may have gone."""
    node = Node()
    pauses = []
    for _ in range(8):
        while not node.look():
            pass
        left_at = node.now
        assert not node.look(waited=1.0)
        while not node.look():
            pass
        pauses.append(node.now - left_at)

    assert pauses[0] >= RUDE_S_MIN
    assert pauses[1] > pauses[0]
    assert pauses[-1] == pauses[-2] <= RUDE_S_MAX + 1


def test_after_a_long_time_without_a_stranger_it_begins_anew():
    """One that comes once a day is not what the last one was."""
    node = Node()
    for _ in range(3):
        while not node.look():
            pass
        assert not node.look(waited=1.0)
    while not node.look():
        pass
    assert node.look(after=RUDE_S_MAX)
    assert not node.look(waited=1.0)

    assert not node.look(after=RUDE_S_MIN - 0.5)
    assert node.look(after=0.5)


@tells
def test_what_threads_ran_is_told():
    """By the system, in seconds: this thread alone says the same of itself."""
    own = f"/proc/self/task/{threading.get_native_id()}/schedstat"
    ran_ns, waited_ns, _ = map(int, Path(own).read_text().split())

    told = None
    while told is None:  # a thread of an earlier test may end while we look
        told = read_waited(TASKS)

    assert told.ran >= ran_ns / 1e9 > 0
    assert told.waited >= waited_ns / 1e9


def test_a_system_that_does_not_tell(tmp_path):
    """Then nobody can see a stranger, and there are no manners."""
    assert read_waited(tmp_path / "none") is None
    (tmp_path / "7").mkdir()
    assert read_waited(tmp_path) is None
    (tmp_path / "7" / "schedstat").write_text("nonsense")
    assert read_waited(tmp_path) is None
    (tmp_path / "7" / "schedstat").write_text("0 0 0\n")
    assert read_waited(tmp_path) is None
    (tmp_path / "7" / "schedstat").write_text("1500000000 500000000 3\n")
    assert read_waited(tmp_path) == Waited(1.5, 0.5)


@may
def test_all_threads_behave_and_may_stop_to(tmp_path):
    """Those that there are; whoever has ended, or what is no thread, is left out."""
    done, policies = threading.Event(), []
    thread = threading.Thread(target=done.wait)
    thread.start()
    try:
        for well in (True, False):
            assert behave(TASKS, well=well)
            tasks = (0, thread.native_id)
            policies.append([os.sched_getscheduler(task) for task in tasks if task is not None])
    finally:
        behave(TASKS, well=False)
        done.set()
        thread.join()

    assert policies == [[os.SCHED_BATCH] * 2, [os.SCHED_OTHER] * 2]
    (tmp_path / str(2**22 + 1)).mkdir()
    assert behave(tmp_path, well=True)
    assert not behave(tmp_path / "nowhere", well=True)


@may
def test_what_somebody_chose_for_a_node_stays():
    """chrt, or CPUSchedulingPolicy of systemd: it is not ours to change, nor to give back."""
    assert behave(TASKS, well=True)
    try:
        assert not may_choose()
    finally:
        assert behave(TASKS, well=False)
    assert may_choose()
