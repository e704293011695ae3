"""The Clerk for asyncio on a real node."""

import asyncio
import gc

import pytest

from actors.lines import Lines
from actors.rounds import Rounds
from kvorum import AsyncClerk, ClerkClosed, TooLarge, Unavailable

NOBODY = "127.0.0.1:1"
LEVELS = ("linearizable", "stale")


def test_calls_of_many_tasks_are_done(cluster):
    """Each append is there once, in its task's order."""

    async def work(clerk: AsyncClerk, name: int) -> None:
        for number in range(10):
            await clerk.append("tasks", f"<{name}.{number}>")

    async def main() -> bytes:
        async with AsyncClerk(cluster.endpoints, timeout=30) as clerk:
            await asyncio.gather(*(work(clerk, name) for name in range(50)))
            return await clerk.get("tasks")

    found = asyncio.run(main())

    assert found.count(b"<") == 500
    for name in range(50):
        places = [found.index(b"<%d.%d>" % (name, number)) for number in range(10)]
        assert places == sorted(places)


def test_every_verb_works(cluster):
    """As the blocking clerk's do."""

    async def main() -> None:
        async with AsyncClerk(cluster.endpoints, timeout=30) as clerk:
            await clerk.put("verbs", "a")
            await clerk.append("verbs", b"b")
            assert await clerk.get("verbs") == await clerk.lookup("verbs", level="stale") == b"ab"
            assert await clerk.get("no-verb") == b""
            assert await clerk.lookup("no-verb") is None
            status = await clerk.status()
            assert [found.name for found in status.values() if found] == ["node1"]
            with pytest.raises(TooLarge):
                await clerk.put("verbs", bytes(1_500_000))

    asyncio.run(main())


def test_calls_of_one_moment_leave_together(cluster, monkeypatch):
    """One frame for all of them."""
    frames: list[int] = []

    async def main() -> None:
        async with AsyncClerk(cluster.endpoints, timeout=30) as clerk:
            await clerk.put("k", "v")
            send = clerk._lines._send

            def count(endpoint: str, frame: bytes) -> None:
                frames.append(len(frame))
                send(endpoint, frame)

            monkeypatch.setattr(clerk._lines, "_send", count)
            await asyncio.gather(*(clerk.put("k", "v") for _ in range(50)))

    asyncio.run(main())

    assert len(frames) == 1


def test_clerks_of_one_loop_speak_in_one_round(cluster, monkeypatch):
    """First all decide, then all speak: frames that leave together wake one thread once."""
    steps: list[str] = []

    def note(lines: Lines, step: str) -> None:
        done = getattr(lines, step)

        def noted() -> object:
            steps.append(step)
            return done()

        monkeypatch.setattr(lines, step, noted)

    async def main() -> None:
        clerks = [AsyncClerk(cluster.endpoints, timeout=30) for _ in range(5)]
        await asyncio.gather(*(clerk.put("k", "v") for clerk in clerks))
        for clerk in clerks:
            note(clerk._lines, "decide")
            note(clerk._lines, "speak")
        await asyncio.gather(*(clerk.put("k", "v") for clerk in clerks for _ in range(3)))
        for clerk in clerks:
            clerk.close()

    asyncio.run(main())

    assert steps[:10] == ["decide"] * 5 + ["speak"] * 5  # behind it, rounds that only listen


def test_every_answer_is_heard_without_a_timer(cluster, monkeypatch):
    """ZeroMQ tells only once of all that came: who takes one frame must look for others."""

    async def client(clerk: AsyncClerk, number: int) -> None:
        for _ in range(50):
            await clerk.put(f"heard/{number}", "v")
            assert await clerk.get(f"heard/{number}", level=LEVELS[number % 2]) == b"v"

    async def main() -> None:
        clerks = [AsyncClerk(cluster.endpoints, timeout=30) for _ in range(10)]
        await asyncio.gather(*(clerk.put("k", "v") for clerk in clerks))
        monkeypatch.setattr(Rounds, "_set_timer", lambda *_: None)
        clients = (client(clerks[number % 10], number) for number in range(40))
        await asyncio.wait_for(asyncio.gather(*clients), 60)
        for clerk in clerks:
            clerk.close()

    asyncio.run(main())


def test_deadlines_of_many_clerks_are_kept():
    """One timer serves all of them, each in its time."""

    async def main() -> list[float]:
        clerks = [AsyncClerk(NOBODY) for _ in range(3)]
        loop = asyncio.get_running_loop()
        began = loop.time()

        async def ask(clerk: AsyncClerk, timeout_s: float) -> float:
            with pytest.raises(Unavailable):
                await clerk.get("k", timeout=timeout_s)
            return loop.time() - began

        times = (0.4, 0.1, 0.25)
        took = await asyncio.gather(*map(ask, clerks, times))
        for clerk in clerks:
            clerk.close()
        return [ended - asked for ended, asked in zip(took, times, strict=True)]

    assert all(0 <= late < 5 for late in asyncio.run(main()))


def test_a_cancelled_task_harms_nobody(cluster):
    """What it asked for may be done; the others go on."""

    async def main() -> None:
        async with AsyncClerk(cluster.endpoints, timeout=30) as clerk:
            cancelled = asyncio.ensure_future(clerk.put("cancelled", "v"))
            other = clerk.put("other", "v")
            cancelled.cancel()
            await other
            assert await clerk.get("other") == b"v"

    asyncio.run(main())


def test_where_nobody_is_a_call_is_not_applied():
    """The deadline comes without anything happening."""

    async def main() -> None:
        async with AsyncClerk(NOBODY, timeout=0.2) as clerk:
            with pytest.raises(Unavailable):
                await clerk.put("k", "v")

    asyncio.run(main())


def test_a_closed_clerk_says_so():
    """What waits is ended, what comes later is refused."""

    async def main() -> None:
        clerk = AsyncClerk(NOBODY)
        waiting = clerk.get("k")
        clerk.close()
        clerk.close()
        with pytest.raises(ClerkClosed):
            await waiting
        with pytest.raises(ClerkClosed):
            clerk.get("k")

    asyncio.run(main())


def test_a_clerk_closed_before_its_round_sends_nothing(cluster):
    """The round goes on without it."""

    async def main() -> None:
        clerk, other = (AsyncClerk(cluster.endpoints, timeout=30) for _ in range(2))
        await asyncio.gather(clerk.put("k", "v"), other.put("k", "v"))
        waiting, going_on = clerk.put("closed", "v"), other.put("k", "w")
        clerk.close()
        await going_on
        with pytest.raises(ClerkClosed):
            await waiting
        assert await other.get("closed") == b""
        assert not clerk._lines._lines, "it would have connected anew"
        other.close()

    asyncio.run(main())


def test_a_clerk_serves_one_event_loop(cluster):
    """That of its first call; the second one is refused."""
    clerk = AsyncClerk(cluster.endpoints, timeout=30)

    async def ask() -> None:
        await clerk.get("k")

    asyncio.run(ask())
    with pytest.raises(ClerkClosed, match="event loop"):
        asyncio.run(ask())
    clerk.close()
    gc.collect()
