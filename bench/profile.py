"""Where the microseconds of a put go, stage by stage, from what the nodes count anyway.

    python -m bench.profile [--clients 1,64,1000] [--seconds 5] [--svg FILE]

Closed loops as bench.load's put; what the nodes counted meanwhile is asked for at their client
ports. Without --endpoints a cluster of three is started for it.
"""

import argparse
import importlib
import importlib.util
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from rich import box
from rich.bar import Bar
from rich.console import Console
from rich.table import Table

from actors.counters import ask_counters
from actors.status import ask_all, leadership
from bench.load import Plan, run_here
from bench.machine import facts
from bench.ours import HERE, commit_of
from bench.stages import Profile, share_of, stages_of
from bench.tally import Measured, Spent
from kvorum import Cluster

CLIENTS = "1,64,1000"
CONNS_MAX = 100
ASK_S = 2.0
TIMEOUT_S = 30.0
BAR_COLUMNS = 36


class Look(NamedTuple):
    """Who leads, and where the counters of each node stand that answers, by its name."""

    leader: str
    counters: dict[str, Counter[str]]


def main() -> int:
    """Measure, and draw a chart for each number of clients."""
    arguments = _arguments()
    console = Console(highlight=False)
    profiles = []
    with nullcontext() if arguments.endpoints else Cluster(3) as cluster:
        if cluster:
            arguments.endpoints = cluster.endpoints
        for clients in arguments.clients:
            profiles.append(_measured(_plan(arguments, clients)))
            _show(console, profiles[-1])
    if arguments.svg:
        command = " ".join(["python -m bench.profile", *sys.argv[1:]])
        notes = "\n".join([*facts(), f"kvorum {commit_of(HERE)}", command])
        importlib.import_module("bench.stageplot").draw(profiles, notes, arguments.svg)
        console.print(f"drawn in {arguments.svg}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("--clients", type=_numbers, default=CLIENTS, help=f"default: {CLIENTS}")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each load; default: 5")
    parser.add_argument("--value-bytes", type=int, default=256)
    parser.add_argument("--keys", type=int, default=100_000, help="all before one comes again")
    parser.add_argument("--endpoints", type=lambda text: text.split(","), metavar="HOST:PORT,...")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw it there too")
    arguments = parser.parse_args()
    if arguments.svg and importlib.util.find_spec("matplotlib") is None:
        parser.error("--svg draws with matplotlib: pip install 'kvorum[bench]'")
    return arguments


def _numbers(text: str) -> list[int]:
    numbers = [int(word) for word in text.split(",")]
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError("less than one client puts nothing")
    return numbers


def _plan(arguments: argparse.Namespace, clients: int) -> Plan:
    return Plan(
        op="put",
        clients=clients,
        conns=min(clients, CONNS_MAX),
        total=0,
        seconds=arguments.seconds,
        value=b"v" * arguments.value_bytes,
        keys=range(arguments.keys),
        read_level="linearizable",
        timeout_s=TIMEOUT_S,
        endpoints=arguments.endpoints,
    )


def _measured(plan: Plan) -> Profile:
    looks: list[Look] = []
    measured = run_here(plan, lambda _: None, lambda: looks.append(_look(plan.endpoints)))
    looks.append(_look(plan.endpoints))
    before, after = looks
    if after.leader != before.leader:
        sys.exit("bench.profile: another node leads than before: these puts went two ways")
    grown = {
        name: counters - before.counters[name]
        for name, counters in after.counters.items()
        if name in before.counters
    }
    return _profile(plan.clients, measured, after.leader, grown)


def _profile(
    clients: int, measured: Measured, leader: str, grown: dict[str, Counter[str]]
) -> Profile:
    spent: Spent = sum(measured.minutes, Counter())
    puts = spent.total()
    if not puts:
        sys.exit("bench.profile: no put succeeded")
    mean_us = sum(microseconds * count for microseconds, count in spent.items()) / puts
    return Profile(
        clients,
        puts / (measured.ended - measured.began),
        mean_us,
        stages_of(grown[leader], measured.cpu_s / puts * 1e6, mean_us),
        leader,
        [share_of(name, counts, puts) for name, counts in sorted(grown.items())],
    )


def _look(endpoints: list[str]) -> Look:
    """Nodes that say nothing are left out."""
    answers = ask_all({endpoint: endpoint for endpoint in endpoints}, ASK_S)
    told = {
        answer.status.name: Counter(ask_counters(endpoint, ASK_S))
        for endpoint, answer in answers.items()
    }
    leader = leadership(answer.status for answer in answers.values()).leader
    if leader is None or not told[leader]:
        sys.exit("bench.profile: no node leads that tells what it counted")
    return Look(leader, {name: counters for name, counters in told.items() if counters})


def _show(console: Console, profile: Profile) -> None:
    mean_us = profile.mean_us
    of = f"{profile.clients:,} at a time: {profile.per_s:,.0f} puts/s, mean {mean_us:,.0f} µs"
    stages = _table("stage", "µs", "%")
    stages.add_column("one after the other", width=BAR_COLUMNS)
    begun = 0.0
    for name, us in profile.stages:
        bar = Bar(mean_us, begun, begun + us, width=BAR_COLUMNS, color="cyan")
        stages.add_row(name, f"{us:,.0f}", f"{100 * us / mean_us:.0f}", bar)
        begun += us
    nodes = _table("node", "KVServer µs/put", "Raft µs/put", "puts/write", "write ms", "sync ms")
    for name, *figures in profile.nodes:
        told = [f"{figure:,.2f}" for figure in figures]
        nodes.add_row(f"{name}, leads" if name == profile.leader else name, *told)
    console.print("", of, stages, nodes, sep="\n")


def _table(first: str, *others: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


if __name__ == "__main__":
    sys.exit(main())
