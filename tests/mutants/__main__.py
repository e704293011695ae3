"""Plant bugs and see each of them caught: python -m tests.mutants [--only NAME] [--list]."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.mutants.hunt import BrokenHuntError, Verdict, check_unbugged, copy_source, hunt
from tests.mutants.mutant import Mutant
from tests.mutants.planted import MUTANTS


def main() -> int:
    """Print who caught what; one if any bug survives."""
    options = _options()
    chosen = [mutant for mutant in MUTANTS if options.only in {None, mutant.name}]
    if not chosen:
        print(f"no mutant is called {options.only}; see --list")
        return 2
    if options.list:
        for mutant in chosen:
            print(f"{mutant.name:<38}{mutant.invariant:<14}{mutant.harm}")
        return 0

    started = time.monotonic()
    try:
        with TemporaryDirectory(prefix="kvorum-unbugged-") as folder:
            original = copy_source(Path(folder))
            check_unbugged(original, chosen, options.seeds_first)
            survivors = _hunt_all(original, chosen, options)
    except BrokenHuntError as error:
        print(error)
        return 2
    spent = time.monotonic() - started
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} caught in {spent:.0f} s")
    for mutant in survivors:
        print(f"SURVIVED {mutant.name} in {mutant.file}: {mutant.harm}")
    return 1 if survivors else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", metavar="NAME", help="plant this one alone")
    parser.add_argument("--list", action="store_true", help="name the bugs, plant none")
    parser.add_argument("--seeds", type=int, default=1000, help="worlds before a bug survives")
    parser.add_argument("--seeds-first", type=int, default=20, help="worlds that should do")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="hunts at a time")
    return parser.parse_args()


def _hunt_all(
    original: Path, mutants: Sequence[Mutant], options: argparse.Namespace
) -> list[Mutant]:
    """Hunt on all cores, each row as soon as it is known; a hunt waits for processes of its own."""
    survivors = []
    once = partial(hunt, original, seeds_first=options.seeds_first, seeds_max=options.seeds)
    print(f"{'mutant':<38}{'invariant':<14}{'seconds':>7}  caught by")
    with ThreadPoolExecutor(options.workers) as pool:
        for verdict in pool.map(once, mutants):
            print(_row(verdict), flush=True)
            if verdict.catcher is None:
                survivors.append(verdict.mutant)
    return survivors


def _row(verdict: Verdict) -> str:
    mutant, catcher, seconds = verdict
    caught_by = (catcher or "NOBODY").removeprefix("tests/")
    return f"{mutant.name:<38}{mutant.invariant:<14}{seconds:>7.1f}  {caught_by}"


sys.exit(main())
