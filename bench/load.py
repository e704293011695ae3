"""Closed-loop clients over the public clerk: how many operations a second, how long each takes.

    python -m bench.load --op put --clients 1000 --conns 100 --seconds 10

Each client has one operation outstanding; a connection is an AsyncClerk. Each connection is opened,
and used once, before the clock starts. Ctrl-C ends the run early. Without --endpoints a cluster of
three is started for it.
"""

import argparse
import asyncio
import gc
import json
import math
import multiprocessing
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from functools import partial
from itertools import cycle, islice
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Barrier
from random import Random
from threading import BrokenBarrierError
from typing import NamedTuple

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench.tally import Line, Measured, Tally, line_of, merged
from kvorum import AsyncClerk, Cluster, KvorumError

OPS = ("put", "get", "append", "mixed")
LEVELS = ("linearizable", "lease", "stale")
LOOK_S = 0.25
MINUTE_S = 60.0

Call = Callable[[bytes], Awaitable[object]]
Told = Callable[[int], object]
"""Is told now and then how many operations are done."""


class Plan(NamedTuple):
    """What one process is to do."""

    op: str
    clients: int
    conns: int
    total: int  # 0: as many as it can in so many seconds
    seconds: float
    value: bytes
    keys: range
    read_level: str
    timeout_s: float
    endpoints: list[str]


def main() -> int:
    """Run the load, print its line, and say by the exit code whether anything succeeded."""
    arguments = _arguments()
    try:
        with nullcontext() if arguments.endpoints else Cluster(3) as cluster:
            if cluster:
                arguments.endpoints = cluster.endpoints
            line = _run(arguments)
    except KeyboardInterrupt:  # before its clock started
        return 130
    if arguments.json:
        print(json.dumps(line))
    else:
        print(", ".join(f"{name} {_said(value)}" for name, value in line.items()))
    return 0 if line["ops"] else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.load", description=__doc__)
    parser.add_argument("--op", choices=OPS, default="put", help="mixed: puts and gets in turn")
    parser.add_argument("--clients", type=int, default=64, help="operations outstanding")
    parser.add_argument("--conns", type=int, default=0, help="default: as clients, at most 100")
    parser.add_argument("--processes", type=int, default=1, help="that share clients and conns")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--total", type=int, default=0, help="operations")
    length.add_argument("--seconds", type=float, default=0.0, help="default: 10")
    parser.add_argument("--value-bytes", type=int, default=256)
    parser.add_argument("--keys", type=int, default=100_000, help="all before one comes again")
    parser.add_argument("--read-level", choices=LEVELS, default=LEVELS[0])
    parser.add_argument("--timeout", type=float, default=30.0, help="of one operation, seconds")
    parser.add_argument("--endpoints", type=lambda text: text.split(","), metavar="HOST:PORT,...")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    parser.add_argument("--announce", action="store_true", help="a line when the clock starts")
    arguments = parser.parse_args()
    arguments.conns = arguments.conns or min(arguments.clients, 100)
    arguments.seconds = arguments.seconds or (0.0 if arguments.total else 10.0)
    if not 1 <= arguments.processes <= arguments.conns <= arguments.clients:
        parser.error("there must be 1 or more processes, not fewer conns, and not fewer clients")
    return arguments


def _run(arguments: argparse.Namespace) -> Line:
    plans = [_plan(arguments, place) for place in range(arguments.processes)]
    columns = (BarColumn(), TextColumn("{task.fields[ops]:,} done"), TimeRemainingColumn())
    with Progress(*columns, auto_refresh=False, disable=not sys.stderr.isatty()) as progress:
        goal = arguments.total or arguments.seconds
        task = progress.add_task("", total=goal, ops=0)
        began = time.monotonic()

        def told(ops: int) -> None:
            done = ops if arguments.total else time.monotonic() - began
            progress.update(task, completed=min(done, goal), ops=ops, refresh=True)

        def begin() -> None:
            if arguments.announce:
                print("it begins", flush=True)

        one = len(plans) == 1
        measured = run_here(plans[0], told, begin) if one else _run_apart(plans, told, begin)
    names = ("op", "conns", "clients", "processes", "value_bytes", "keys", "read_level")
    return {name: getattr(arguments, name) for name in names} | line_of(measured)


def _plan(arguments: argparse.Namespace, place: int) -> Plan:
    """The share of one of the processes; no two of them use the same key."""

    def share(whole: int) -> int:
        return len(range(place, whole, arguments.processes))

    return Plan(
        op=arguments.op,
        clients=share(arguments.clients),
        conns=share(arguments.conns),
        total=share(arguments.total),
        seconds=arguments.seconds,
        value=b"v" * arguments.value_bytes,
        keys=range(place, arguments.keys, arguments.processes),
        read_level=arguments.read_level,
        timeout_s=arguments.timeout,
        endpoints=arguments.endpoints,
    )


def _run_apart(plans: list[Plan], told: Told, begin: Callable[[], object]) -> Measured:
    """One process each; they begin together."""
    spawning = multiprocessing.get_context("spawn")
    barrier = spawning.Barrier(len(plans) + 1)
    done: dict[Connection, int] = {}
    results: list[Measured] = []
    workers = []
    for plan in plans:
        ours, theirs = spawning.Pipe(duplex=False)
        workers.append(spawning.Process(target=_work, args=(plan, theirs, barrier), daemon=True))
        workers[-1].start()
        theirs.close()
        done[ours] = 0
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # they hear it too, and end
    try:
        barrier.wait()
    except BrokenBarrierError:
        for worker in workers:
            worker.join()  # whoever failed says why
        sys.exit("bench.load: one of its processes failed")
    begin()
    waiting = set(done)
    while waiting:
        for ready in wait(list(waiting)):
            assert isinstance(ready, Connection)
            news = ready.recv()  # EOFError: it failed, and said why
            if isinstance(news, Measured):
                results.append(news)
                waiting.remove(ready)
            else:
                done[ready] = news
        told(sum(done.values()))
    return merged(results)


def _work(plan: Plan, parent: Connection, barrier: Barrier) -> None:
    try:
        parent.send(run_here(plan, parent.send, barrier.wait))
    except BrokenBarrierError:
        return  # another one failed
    except BaseException:
        barrier.abort()  # or the others would wait for this one for ever
        raise


def run_here(plan: Plan, told: Told, begin: Callable[[], object]) -> Measured:
    """The plan's load, from an event loop of its own."""
    return asyncio.run(_load(plan, told, begin))


async def _load(plan: Plan, told: Told, begin: Callable[[], object]) -> Measured:
    keys = [b"key/%09d" % number for number in plan.keys]
    Random(0).shuffle(keys)
    clerks = [AsyncClerk(plan.endpoints, plan.timeout_s) for _ in range(plan.conns)]
    calls = [_call_of(plan, clerk) for clerk in clerks]
    try:
        await asyncio.gather(*(call(keys[0]) for call in calls for _ in range(2)))  # 2: one of each
    except KvorumError as error:
        sys.exit(f"bench.load: {', '.join(plan.endpoints)}: {error}")
    gc.collect()
    gc.freeze()  # the keys need not be looked at again
    tally = Tally()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, tally.end)
    begin()
    tally.start(time.perf_counter(), plan.seconds or math.inf)
    cpu_before = time.process_time()
    ahead = _until_over(tally, islice(cycle(keys), plan.total or None))
    watch = asyncio.create_task(_watch(tally, told))
    await asyncio.gather(
        *(_client(calls[number % plan.conns], ahead, tally) for number in range(plan.clients))
    )
    watch.cancel()
    tally.finish(time.perf_counter())
    cpu_s = time.process_time() - cpu_before
    for clerk in clerks:
        clerk.close()
    minutes = [*tally.minutes, tally.minute]
    return Measured(tally.began, tally.ended, tally.longest_pause_s, tally.failed, minutes, cpu_s)


def _call_of(plan: Plan, clerk: AsyncClerk) -> Call:
    calls: dict[str, Call] = {
        "put": partial(clerk.put, value=plan.value),
        "get": partial(clerk.get, level=plan.read_level),
        "append": partial(clerk.append, value=plan.value),
    }
    in_turn = cycle((calls["put"], calls["get"]))
    return calls.get(plan.op) or (lambda key: next(in_turn)(key))


async def _client(call: Call, keys: Iterator[bytes], tally: Tally) -> None:
    """One operation after the other, as long as there are keys; all clients share them."""
    clock = time.perf_counter
    for key in keys:
        began = clock()
        try:
            await call(key)
        except KvorumError:
            tally.failed += 1
            continue
        now = clock()
        tally.minute[int((now - began) * 1e6)] += 1
        if now - tally.ended > tally.longest_pause_s:
            tally.longest_pause_s = now - tally.ended
        tally.ended = now


def _until_over(tally: Tally, keys: Iterator[bytes]) -> Iterator[bytes]:
    """Keys, until it is time to end."""
    clock = time.perf_counter
    for key in keys:
        if clock() >= tally.deadline:
            return
        yield key


async def _watch(tally: Tally, told: Told) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        if time.perf_counter() - tally.began >= MINUTE_S * (len(tally.minutes) + 1):
            tally.end_minute()
        told(tally.ops)


def _said(value: object) -> str:
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
