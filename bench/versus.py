"""Kvorum beside etcd and others: the same operations on the same machine, in alternating rounds.

    python -m bench.versus [--quick] [--rows put-1000,get-1,gap] [--save]

Each store syncs every write, and idles while another one is driven. A round goes through all rows,
and in each row through all stores; what is told is the median of the rounds. Trials that hurt a
store (gap), or fill it (keys), take a new one each time.
"""

import argparse
import json
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.goals import Results, medians, table_of, verdicts
from bench.machine import facts
from bench.ours import HERE, Kvorum, commit_of
from bench.peers.etcd import Etcd
from bench.peers.pysync import PySyncObj
from bench.peers.redis import Redis
from bench.systems import Failed, Load, System
from bench.tally import Line
from bench.trials import FRESH, FULL, LOADS, QUICK, VALUE_BYTES, Size, fill_of, load_of

PEERS = (Etcd, Redis, PySyncObj)
ONLY_LOADS = (Redis, PySyncObj)
SAVED = HERE / "docs/benchmarks"
ROWS = [*LOADS, *FRESH]

Stores = dict[str, Callable[[], System]]


def main() -> int:
    """Measure, print, and save if wanted."""
    arguments = _arguments()
    size = QUICK if arguments.quick else FULL
    size = size._replace(
        **{name: value for name, value in vars(arguments).items() if name in Size._fields and value}
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is stopped
    stores = _stores(arguments)
    results: Results = {}
    try:
        for rows in _by_value([row for row in arguments.rows if row in LOADS]):
            _run_loads(rows, stores, size, results)
        _run_fresh([row for row in arguments.rows if row in FRESH], stores, size, results)
    except KeyboardInterrupt:
        print("stopped; what was measured so far:")
    except Failed as failed:
        print(f"{failed}; what was measured so far:")
    notes = _notes(size)
    report = "\n\n".join(["\n".join(f"- {note}" for note in notes), *_tables(results)])
    print(f"\n{report}")
    if arguments.save and results:
        SAVED.mkdir(parents=True, exist_ok=True)
        (SAVED / "versus.md").write_text(f"# Kvorum beside etcd\n\n{report}\n")
        kept = json.dumps({"notes": notes, "rows": results}, indent=1)
        (SAVED / "versus.json").write_text(f"{kept}\n")
        print(f"saved in {SAVED}")
    return 0 if set(results) == set(arguments.rows) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.versus", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, fewer keys")
    parser.add_argument("--rows", type=_rows, default=ROWS, help=f"of: {','.join(ROWS)}")
    parser.add_argument("--only", action="append", help="leave out all stores but this one")
    parser.add_argument("--tree", action="append", default=[], metavar="NAME=DIRECTORY")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="of each load")
    parser.add_argument("--keys", type=int, help="that the loads use")
    parser.add_argument("--many-keys", type=int, help="that a node is to hold")
    parser.add_argument("--watch-s", type=float, help="after a kill")
    parser.add_argument("--save", action="store_true", help="into docs/benchmarks/")
    return parser.parse_args()


def _rows(text: str) -> list[str]:
    rows = text.split(",")
    if unknown := set(rows) - set(ROWS):
        raise argparse.ArgumentTypeError(f"no such row: {', '.join(sorted(unknown))}")
    return rows


def _stores(arguments: argparse.Namespace) -> Stores:
    """What can be run here; what cannot is named, with what would help."""
    stores: Stores = {"kvorum": Kvorum}
    for told in arguments.tree:
        name, _, tree = told.partition("=")
        stores[name] = partial(Kvorum, tree=Path(tree).absolute(), name=name)
    for peer in PEERS:
        if why := peer.why_not():
            print(why)
        else:
            stores[peer.name] = peer
    if missing := set(arguments.only or ()) - set(stores):
        sys.exit(f"there is no store {', '.join(sorted(missing))}, only {', '.join(stores)}")
    return {name: made for name, made in stores.items() if name in (arguments.only or stores)}


def _by_value(rows: list[str]) -> list[list[str]]:
    """Rows of the same size of value; the others' leavings are not theirs to clear away."""
    sizes = sorted({LOADS[row][2] for row in rows}, key=lambda size: (size != VALUE_BYTES, size))
    return [[row for row in rows if LOADS[row][2] == size] for size in sizes]


def _run_loads(rows: list[str], stores: Stores, size: Size, results: Results) -> None:
    """Rounds of these rows, on one running store of each kind."""
    with ExitStack() as stack:
        running = {name: stack.enter_context(make()) for name, make in stores.items()}
        for name in running:
            _tell(0, "fill", name, _run_alone(name, running, fill_of(size.keys)))
        for number, row, name in _steps(rows, list(running), size.rounds):
            if LOADS[row][0] in running[name].ops:
                line = _run_alone(name, running, load_of(row, size))
                _note(results, number, row, name, line)


def _run_alone(name: str, running: Mapping[str, System], load: Load) -> Line:
    """Nobody pays for what another one puts off."""
    for other, system in running.items():
        if other != name:
            system.rest()
    return running[name].run(load)


def _run_fresh(rows: list[str], stores: Stores, size: Size, results: Results) -> None:
    names = [name for name, make in stores.items() if make not in ONLY_LOADS]
    for number, row, name in _steps(rows, names, size.rounds):
        with stores[name]() as system:
            line = FRESH[row](system, size)
        _note(results, number, row, name, line)


def _steps(rows: list[str], names: list[str], rounds: int) -> Iterator[tuple[int, str, str]]:
    """Round, row and store; every other round the other way round, so that nobody comes last."""
    for number in range(1, rounds + 1):
        for row in rows:
            for name in names if number % 2 else reversed(names):
                yield number, row, name


def _note(results: Results, number: int, row: str, name: str, line: Line) -> None:
    results.setdefault(row, {}).setdefault(name, []).append(line)
    _tell(number, row, name, line)


def _tell(number: int, row: str, name: str, line: Line) -> None:
    figures = ", ".join(f"{figure} {value:,.2f}" for figure, value in medians([line]).items())
    print(f"round {number}: {row:<12} {name:<10} {figures}", flush=True)


def _notes(size: Size) -> list[str]:
    """What a reader of the figures needs to know."""
    command = " ".join(["python -m bench.versus", *sys.argv[1:]])
    peers = [peer.version() for peer in PEERS if not peer.why_not()]
    sizes = f"loads of {size.seconds:g} s on {size.keys:,} keys; many keys are {size.many_keys:,}"
    return [
        f"`{command}`",
        f"medians of {size.rounds} rounds; {sizes}; values of 256 bytes where nothing else is said",
        *facts(),
        ", ".join([f"kvorum {commit_of(HERE)}", *peers]),
    ]


def _tables(results: Results) -> list[str]:
    return [table_of(results), verdicts(results)] if results else ["Nothing was measured."]


if __name__ == "__main__":
    sys.exit(main())
