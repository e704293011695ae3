"""The command line: run many seeds, or replay one; a failure says how to replay it.

python -m verify.simulate --seeds 1000 [--from N] [--jobs J]
python -m verify.simulate --seed N [--trace]
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
from typing import NamedTuple

from verify.transcript import Transcript
from verify.world import World


class Outcome(NamedTuple):
    """What became of one seed; failure is empty if all laws held."""

    seed: int
    facts: Counter[str]
    failure: str


def run_seed(seed: int, *, trace: bool = False) -> Outcome:
    """Run one world to its end, or to the first law that is broken."""
    transcript = Transcript(live=trace)
    world = World(seed, transcript)
    try:
        world.run()
    except Exception as error:  # noqa: BLE001 - whatever goes wrong in a world is a finding
        return Outcome(seed, world.timeline.facts, _failure(seed, error, transcript))
    return Outcome(seed, world.timeline.facts, "")


def run_seeds(seeds: Sequence[int], jobs: int) -> Iterator[Outcome]:
    """Run many worlds in as many processes, answers in the order of the seeds."""
    if jobs == 1:
        yield from map(_run_one_of_many, seeds)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap(_run_one_of_many, seeds, chunksize=8)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line asks for; zero means that every law held."""
    asked = _parse(arguments)
    if asked.seed is not None:
        seeds, outcomes = 1, iter([run_seed(asked.seed, trace=asked.trace)])
    else:
        seeds = asked.seeds
        jobs = min(asked.jobs, seeds)
        outcomes = run_seeds(range(asked.first, asked.first + seeds), jobs)
    return _report(outcomes)


def _run_one_of_many(seed: int) -> Outcome:
    """A world is a thicket of references, gone as a whole: no use to search it meanwhile."""
    gc.disable()
    outcome = run_seed(seed)
    if seed % 16 == 0:
        gc.collect()
    return outcome


def _report(outcomes: Iterable[Outcome]) -> int:
    started = time.monotonic()
    facts: Counter[str] = Counter()
    seeds = 0
    for outcome in outcomes:
        seeds += 1
        facts.update(outcome.facts)
        if outcome.failure:
            print(outcome.failure)
            return 1
    seconds = time.monotonic() - started
    print(f"{seeds} seeds held every law in {seconds:.1f} s", end=", ")
    print(f"{facts['messages'] / seconds:,.0f} messages a second")
    for name in sorted(facts):
        print(f"{facts[name]:>14,} {name}")
    return 0


def _failure(seed: int, error: Exception, transcript: Transcript) -> str:
    law = str(error) if isinstance(error, AssertionError) and str(error) else repr(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return "\n".join(
        [
            *transcript.lines(),
            f"seed {seed} breaks a law: {law}",
            f"at {os.path.relpath(place.filename)}:{place.lineno}",
            f"replay: python -m verify.simulate --seed {seed}",
        ]
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m verify.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many worlds to run")
    parser.add_argument("--from", type=int, default=0, dest="first", help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="replay this one world")
    parser.add_argument("--trace", action="store_true", help="print every event of it")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
