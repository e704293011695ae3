"""The command line: run many seeds, or replay one; a failure says how to replay it.

python -m verify.simulate --seeds 1000 [--from N] [--jobs J]
python -m verify.simulate --minutes 60 [--from N] [--jobs J]
python -m verify.simulate --seed N [--trace]

A world is one of Raft cores, or with --nodes one of whole nodes and their clerks.
"""

import argparse
import gc
import multiprocessing
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import NamedTuple

from verify.nodeworld import NodeWorld
from verify.transcript import Transcript
from verify.world import World

Kind = type[World] | type[NodeWorld]

BATCH = 64
"""So many seeds are handed to each process at a time when only the clock ends the run."""


class Outcome(NamedTuple):
    """What became of one seed; failure is empty if all laws held."""

    facts: Counter[str]
    failure: str


def run_seed(seed: int, transcript: Transcript, kind: Kind = World) -> Outcome:
    """Run one world to its end, or to the first law that is broken."""
    world = kind(seed, transcript)
    try:
        world.run()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a world is a finding
        return Outcome(world.timeline.facts, _failure(world, error, transcript))
    return Outcome(world.timeline.facts, "")


def run_seeds(seeds: Iterable[int], jobs: int, kind: Kind = World) -> Iterator[Outcome]:
    """Run many worlds in as many processes; the answers come in the order of the seeds."""
    run_one = partial(_run_one_of_many, kind)
    if jobs == 1:
        yield from map(run_one, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(run_one, seeds, chunksize=8)


def run_minutes(minutes: float, first: int, jobs: int, kind: Kind = World) -> Iterator[Outcome]:
    """Run worlds until the time is over."""
    deadline = time.monotonic() + minutes * 60
    for start in count(first, BATCH * jobs):
        if time.monotonic() >= deadline:
            return
        yield from run_seeds(range(start, start + BATCH * jobs), jobs, kind)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; zero means that every law held."""
    asked = _parse(arguments)
    kind = NodeWorld if asked.nodes else World
    if asked.seed is not None:
        return _replay(asked.seed, kind, trace=asked.trace)
    if asked.minutes is not None:
        return _report(run_minutes(asked.minutes, asked.first, asked.jobs, kind))
    seeds = range(asked.first, asked.first + asked.seeds)
    return _report(run_seeds(seeds, max(1, min(asked.jobs, asked.seeds)), kind))


def _replay(seed: int, kind: Kind, *, trace: bool) -> int:
    """One seed, with a digest of its transcript to compare two runs by."""
    transcript = Transcript(keep=None, live=trace)
    code = _report(run_seed(each, transcript, kind) for each in [seed])
    print(f"transcript {transcript.digest()}")
    return code


def _run_one_of_many(kind: Kind, seed: int) -> Outcome:
    """A world is a thicket of references, gone as a whole: looking for rubbish in it is waste."""
    gc.disable()
    outcome = run_seed(seed, Transcript(), kind)
    if seed % 16 == 0:
        gc.collect()
    return outcome


def _report(outcomes: Iterable[Outcome]) -> int:
    """Add up what happened; the first failure is the last word."""
    started = time.monotonic()
    facts: Counter[str] = Counter()
    seeds = 0
    for outcome in outcomes:
        if outcome.failure:
            print(outcome.failure)
            return 1
        seeds += 1
        facts.update(outcome.facts)
    seconds = time.monotonic() - started
    for name in sorted(facts):
        print(f"{facts[name]:>14,} {name}")
    rate = facts["messages"] / seconds
    print(f"{seeds} seeds held every law: {seconds:.1f} s, {rate:,.0f} messages a second")
    return 0


def _failure(world: World | NodeWorld, error: Exception, transcript: Transcript) -> str:
    """The end of the transcript, how the servers stood, the law, and how to see it again."""
    law = str(error) if isinstance(error, AssertionError) and str(error) else repr(error)
    flag = "--nodes " if isinstance(world, NodeWorld) else ""
    place = traceback.extract_tb(error.__traceback__)[-1]
    lines = [
        *transcript.lines()[-60:],
        *world.cluster.lines(),
        f"faults: {world.swarm.strikes}",
        f"wishes: {world.swarm.wishes}",
        f"seed {world.seed} breaks a law: {law}",
        f"at {os.path.relpath(place.filename)}:{place.lineno}",
        f"replay: python -m verify.simulate {flag}--seed {world.seed}",
    ]
    return "\n".join(lines)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m verify.simulate", description="Servers in simulated worlds, one a seed."
    )
    parser.add_argument("--seeds", type=int, default=100, help="how many worlds to run")
    parser.add_argument("--minutes", type=float, help="run worlds for so long instead")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="replay this one world")
    parser.add_argument("--nodes", action="store_true", help="whole nodes instead of Raft cores")
    parser.add_argument("--trace", action="store_true", help="print every event of it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
