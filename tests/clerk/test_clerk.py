"""The blocking Clerk on a real node."""

import gc
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from types import CodeType, FrameType
from typing import Any

import pytest

from actors import clerkloop
from actors.clerkloop import ClerkLoop
from kvorum import (
    Clerk,
    ClerkClosed,
    Cluster,
    NotApplied,
    OutcomeUnknown,
    TooLarge,
    Unavailable,
)

NOBODY = ["127.0.0.1:1"]

Trace = Callable[[FrameType, str, Any], Any]


def test_a_value_is_read_as_it_was_written(clerk):
    """Text becomes UTF-8, bytes stay as they are."""
    clerk.put("colour", "grün")
    clerk.append(b"colour", b"\x00\xff")

    assert clerk.get("colour") == "grün".encode() + b"\x00\xff"
    assert clerk.lookup(bytearray(b"colour")) == clerk.get("colour", level="lease")


def test_lookup_tells_missing_from_empty(clerk):
    """A missing key reads as the empty value."""
    clerk.put("empty", b"")

    assert clerk.get("empty") == clerk.get("missing") == b""
    assert clerk.lookup("empty") == b""
    assert clerk.lookup("missing") is None


def test_futures_are_done_when_their_calls_are(clerk):
    """Writes of one thread take effect in its order, however many are on their way."""
    writes = [clerk.append_async("futures", f"{number},") for number in range(200)]
    assert all(write.result() is None for write in writes)

    assert clerk.get_async("futures").result() == b"".join(b"%d," % n for n in range(200))
    assert clerk.lookup_async("futures-missing").result() is None
    assert not writes[0].cancel()


def test_a_pipeline_waits_at_its_end(clerk):
    """Its calls do not wait for each other, and each says what it led to."""
    with clerk.pipeline() as pipeline:
        for number in range(100):
            pipeline.append("pipeline", f"{number},")
        found = pipeline.get("empty-in-pipeline")
        missing = pipeline.lookup("missing-in-pipeline")

    assert clerk.get("pipeline") == b"".join(b"%d," % n for n in range(100))
    assert (found.result(), missing.result()) == (b"", None)


def test_a_pipeline_holds_only_so_many_calls(clerk, monkeypatch):
    """At the bound a call waits for the first one, instead of being refused."""
    monkeypatch.setattr("actors.clerk.PIPELINE_CALLS_MAX", 3)
    with clerk.pipeline() as pipeline:
        for number in range(20):
            pipeline.append("bounded", f"{number},")
            assert len(pipeline._calls) <= 3

    assert clerk.get("bounded") == b"".join(b"%d," % n for n in range(20))


def test_a_pipeline_raises_the_first_error_and_does_the_rest(clerk):
    """An error of one call ends no other."""
    pipeline = clerk.pipeline()
    pipeline.put("fits", "1")
    pipeline.put("too long", bytes(1_048_577))
    pipeline.put("fits too", "2")
    with pytest.raises(TooLarge):
        pipeline.wait()

    assert (clerk.get("fits"), clerk.get("fits too")) == (b"1", b"2")
    pipeline.wait()  # it was told once


def test_an_error_in_the_block_of_a_pipeline_goes_first(clerk):
    """Nobody waits for calls that nobody will ask about."""

    def body() -> None:
        with clerk.pipeline() as pipeline:
            pipeline.put("", "v")

    with pytest.raises(ValueError, match="a key is empty"):
        body()


def test_many_threads_share_a_clerk(clerk):
    """Each append is there once."""

    def work(name: int) -> None:
        for number in range(20):
            clerk.append("shared", f"<{name}.{number}>")

    threads = [threading.Thread(target=work, args=(name,)) for name in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = clerk.get("shared")
    for name in range(16):
        places = [found.index(b"<%d.%d>" % (name, number)) for number in range(20)]
        assert places == sorted(places)
    assert found.count(b"<") == 320


def test_a_lone_caller_runs_the_turns_itself(clerk, monkeypatch):
    """So its call changes threads nowhere; the clerk's own thread is not even woken."""
    clerk.put("k", "v")
    loop = clerk._loop
    turn, ran = loop._turn, []

    def count() -> None:
        ran.append(threading.get_ident())
        turn()

    monkeypatch.setattr(loop, "_turn", count)
    for number in range(20):
        clerk.put("k", f"{number}")
        assert clerk.get("k") == f"{number}".encode()

    assert set(ran) == {threading.get_ident()}
    assert loop._vacancies.empty() and loop._leader == clerkloop.NOBODY


def test_what_is_on_its_way_when_a_caller_leaves_is_led_to_its_end(clerk):
    """Callers that wait, futures and pipelines of many threads, in any mixture."""

    def work(name: int) -> None:
        for number in range(30):
            future = clerk.append_async("mixed", f"<{name}.{number}>")
            if number % 3 == 0:
                clerk.put(f"mixed{name}", f"{number}")
            elif number % 3 == 1:
                future.result(30)
            else:
                with clerk.pipeline() as pipeline:
                    pipeline.put(f"piped{name}", f"{number}")
            futures.append(future)

    futures: list[Future[None]] = []
    threads = [threading.Thread(target=work, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait(futures, timeout=30)

    assert [future.exception(0) for future in futures] == [None] * 240
    assert clerk.get("mixed").count(b"<") == 240
    assert [clerk.get(f"mixed{name}") + clerk.get(f"piped{name}") for name in range(8)] == [
        b"2729"
    ] * 8


def test_an_interrupt_while_waiting_harms_nobody(monkeypatch):
    """The caller leaves; what others wait for, and later calls, go on."""
    with Clerk(NOBODY, timeout=0.3) as clerk:
        loop = clerk._loop
        sleep = loop._sleep

        def interrupt() -> None:
            monkeypatch.setattr(loop, "_sleep", sleep)
            raise KeyboardInterrupt

        monkeypatch.setattr(loop, "_sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            clerk.get("k")
        with pytest.raises(Unavailable):
            clerk.get("k")


def test_an_interrupt_within_a_turn_closes_the_clerk(monkeypatch):
    """Nobody knows what was half done: what waits is ended, later calls are refused."""
    with Clerk(NOBODY) as clerk:
        lines = clerk._loop._lines
        decide = lines.decide

        def interrupt() -> None:
            monkeypatch.setattr(lines, "decide", decide)
            raise KeyboardInterrupt

        monkeypatch.setattr(lines, "decide", interrupt)
        with pytest.raises(KeyboardInterrupt):
            clerk.get("k")
        with pytest.raises(ClerkClosed):
            clerk.get("k")
        clerk._loop._thread.join(30)
        assert not clerk._loop._thread.is_alive()


@pytest.mark.parametrize("place", range(1, 25))
def test_an_interrupt_at_any_line_of_a_lead_leaves_nobody_stuck(place):
    """Ctrl-C may come between any two lines: the lead is let go, what comes later is led."""
    lines = {ClerkLoop.wait_for.__code__, ClerkLoop._lead.__code__, ClerkLoop._let_go.__code__}
    with Clerk(NOBODY, timeout=0.02) as clerk:
        with suppress(KeyboardInterrupt, Unavailable), _interrupted(lines, place):
            clerk.get("k")
        assert isinstance(_ended_elsewhere(clerk), Unavailable | ClerkClosed)
        with pytest.raises((Unavailable, ClerkClosed)):
            clerk.get("k")


@contextmanager
def _interrupted(functions: set[CodeType], place: int) -> Iterator[None]:
    """Interrupts this thread before that line, of all that these functions run."""
    left = place

    def trace(frame: FrameType, event: str, _: object) -> Trace | None:
        nonlocal left
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace if frame.f_code in functions else None

    sys.settrace(trace)
    try:
        yield
    finally:
        sys.settrace(None)


def _ended_elsewhere(clerk: Clerk) -> BaseException | None:
    """How another thread's call ends, which does not lead."""
    try:
        return clerk.get_async("k").exception(10)
    except ClerkClosed as closed:
        return closed
    except TimeoutError as stuck:
        return stuck


def test_limits_are_named_when_they_are_passed(clerk):
    """Before and after the clerk has heard of them."""
    for _ in range(2):
        with pytest.raises(TooLarge, match=r"value is larger .* takes: at most 1048576 bytes"):
            clerk.put("k", bytes(1_500_000))
        with pytest.raises(TooLarge, match=r"key is larger .* takes: at most 500 bytes"):
            clerk.get(bytes(501))
        clerk.get("k")
    with pytest.raises(ValueError, match="a key is empty"):
        clerk.put("", "v")
    with pytest.raises(TypeError, match="bytes or str, not int"):
        clerk.put("k", 1)
    with pytest.raises(ValueError, match="linearizable, lease, stale"):
        clerk.get("k", level="quick")


def test_an_append_past_the_limit_changes_nothing(clerk):
    """The value stays as it was, and the clerk goes on."""
    part = bytes(1_000_000)
    clerk.put("long", part)
    with pytest.raises(TooLarge):
        clerk.append("long", part)

    clerk.append("long", "end")
    assert clerk.get("long") == part + b"end"


def test_where_nobody_is_a_call_is_not_applied():
    """Nothing was sent, so nothing is in doubt."""
    with Clerk(NOBODY, timeout=0.2) as clerk:
        with pytest.raises(Unavailable, match=r"no leader answered in time \(key b'k'\)") as told:
            clerk.put("k", "v")
        assert told.value.key == b"k"
        with pytest.raises(Unavailable):
            clerk.get("k")
        assert clerk.status(timeout=0.1) == {NOBODY[0]: None}


def test_one_name_that_works_is_enough(cluster):
    """The others are asked in turn."""
    with Clerk([*NOBODY, "no.such.host.invalid:7101", *cluster.endpoints], timeout=30) as clerk:
        clerk.put("found", "yes")
        assert clerk.get("found") == b"yes"


def test_a_closed_clerk_says_so(cluster):
    """What waits is ended, what comes later is refused; closing twice does nothing."""
    clerk = Clerk(NOBODY)
    waiting: list[Future[None]] = [clerk.put_async("k", "v") for _ in range(3)]
    clerk.close()
    clerk.close()

    assert all(isinstance(future.exception(1), ClerkClosed) for future in waiting)
    with pytest.raises(ClerkClosed):
        clerk.put("k", "v")
    assert cluster.endpoints


def test_a_callback_may_ask_but_not_wait(clerk):
    """It runs on the clerk's thread: waiting there for the clerk would last for ever."""
    told: list[object] = []
    done = threading.Event()

    def callback(_: Future[None]) -> None:
        try:
            clerk.get("k")
        except RuntimeError as error:
            told.append(error)
        clerk.put_async("k", "w").add_done_callback(lambda _: done.set())

    clerk.put_async("k", "v").add_done_callback(callback)

    assert done.wait(30)
    assert len(told) == 1


def test_a_fork_is_refused(clerk):
    """Loudly: a child that used its parent's connection would ruin both."""
    clerk.put("before", "fork")
    child = os.fork()
    if child == 0:  # nothing of pytest may run in here
        code = 1
        try:
            clerk.put("in", "child")
        except ClerkClosed as error:
            code = 0 if "fork" in str(error) else 2
        clerk.close()
        os._exit(code)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert clerk.get("before") == b"fork"


def test_a_forgotten_clerk_ends_its_thread(cluster):
    """Nobody holds it, so nobody could close it."""
    clerk = Clerk(cluster.endpoints)
    thread = clerk._loop._thread
    clerk.get("k")
    del clerk
    gc.collect()

    thread.join(10)
    assert not thread.is_alive()


def test_an_idle_clerk_costs_nothing(clerk):
    """Nobody waits, so no turn is due."""
    clerk.put("k", "v")
    loop = clerk._loop

    assert loop._lines.due() == float("inf")
    assert loop._leader == clerkloop.NOBODY


def test_a_write_that_was_sent_and_not_answered_is_unknown():
    """C1: a node that hangs may have done it; once it goes on, later calls work."""
    with Cluster(nodes=1) as cluster, cluster.clerk(timeout=30) as clerk:
        clerk.put("k", "1")
        cluster.pause("node1")
        with pytest.raises(OutcomeUnknown, match="may have been made or not"):
            clerk.append("k", "2", timeout=0.3)
        with pytest.raises(NotApplied):
            clerk.get("k", timeout=0.3)
        cluster.resume("node1")

        clerk.append("k", "3")
        assert clerk.get("k") in (b"13", b"123")


def test_a_clerk_finds_the_next_leader():
    """Killed or hung, a leader costs a moment and no write."""
    with Cluster(nodes=3) as cluster, cluster.clerk(timeout=30) as clerk:
        written = b""
        for hurt, heal in ((cluster.kill, cluster.start), (cluster.pause, cluster.resume)):
            leader = cluster.leader()
            futures = [clerk.append_async("k", f"<{leader}{n}>") for n in range(50)]
            hurt(leader)
            futures += [clerk.append_async("k", f"<{leader}{n}>") for n in range(50, 100)]
            wait(futures, timeout=30)
            assert [future.exception(0) for future in futures] == [None] * 100
            written += b"".join(f"<{leader}{n}>".encode() for n in range(100))
            heal(leader)
            assert clerk.get("k") == written


def test_deadlines_are_kept():
    """Neither long before nor long after."""
    with Clerk(NOBODY) as clerk:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            clerk.get("k", timeout=0.5)
        assert 0.5 <= time.monotonic() - began < 5
