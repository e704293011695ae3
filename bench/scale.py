"""How throughput, p99 and memory go with keys, value size, nodes, clients, connections and hours.

    python -m bench.scale [--quick] [--sweeps keys,nodes,uptime] [--hours 1] [--into DIRECTORY]

One thing is varied at a time, on a cluster that the run starts; a run of everything takes hours.
Each sweep becomes a picture as SVG and PNG; the figures go into scale.json and scale.md beside, and
replace what was measured of that sweep before.
"""

import argparse
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.goals import markdown
from bench.machine import facts
from bench.ours import HERE, commit_of
from bench.sweeps import FULL, OPS, QUICK, SWEEPS, Point
from bench.systems import Failed

try:
    from bench.plot import draw
except ModuleNotFoundError as missing:
    if missing.name != "matplotlib":
        raise
    sys.exit("bench.scale draws with matplotlib: pip install 'kvorum[bench]'")

INTO = HERE / "docs/benchmarks"
FIGURES = "scale.json"

Found = dict[str, list[Point]]
Saved = dict[str, dict[str, Any]]
"""By the sweep's name: its notes, and its points."""


def main() -> int:
    """Measure, draw, and say by the exit code whether everything was measured."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is stopped
    given = {name: getattr(arguments, name) for name in ("seconds", "hours")}
    varied = QUICK if arguments.quick else FULL
    varied = varied._replace(**{name: value for name, value in given.items() if value})
    saved = _saved(arguments.into)
    found: Found = {}
    try:
        for name in arguments.sweeps:
            found[name] = []
            for point in SWEEPS[name].points(varied):
                found[name].append(point)
                print(_told(SWEEPS[name].label, point), flush=True)
    except (KeyboardInterrupt, Failed) as ended:
        print(f"{ended or 'stopped'}; what was measured so far is kept")
    measured = {name: points for name, points in found.items() if points}
    _save(saved, measured, arguments.into)
    return 0 if list(measured) == arguments.sweeps else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two short points each")
    parser.add_argument("--sweeps", type=_sweeps, default=list(SWEEPS), help=",".join(SWEEPS))
    parser.add_argument("--seconds", type=float, help="of each load")
    parser.add_argument("--hours", type=float, help="of uptime")
    parser.add_argument("--into", type=Path, default=INTO, help="a directory")
    return parser.parse_args()


def _sweeps(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(SWEEPS):
        raise argparse.ArgumentTypeError(f"no such sweep: {', '.join(sorted(unknown))}")
    return names


def _told(label: str, point: Point) -> str:
    figures = f"{point.put['per_s']:,.0f} puts/s, {point.get['per_s']:,.0f} gets/s"
    return f"{point.x:,.10g} {label}: {figures}, {point.memory_mb:,.0f} MB of memory"


def _saved(into: Path) -> Saved:
    """What earlier runs measured; looked at before hours of work, so that those are not lost."""
    figures = into / FIGURES
    if not figures.exists():
        return {}
    try:
        saved: Saved = json.loads(figures.read_text())
        _page(saved)
    except (ValueError, TypeError, KeyError, AttributeError):
        sys.exit(f"{figures} is not what bench.scale saves: move it away, or name another --into")
    return saved


def _save(saved: Saved, found: Mapping[str, Sequence[Point]], into: Path) -> None:
    """Each sweep with what it was measured on; those of earlier runs stay."""
    into.mkdir(parents=True, exist_ok=True)
    command = " ".join(["python -m bench.scale", *sys.argv[1:]])
    notes = [*facts(), f"kvorum {commit_of(HERE)}", command]
    for name, points in found.items():
        draw(SWEEPS[name], points, "\n".join(notes), into / f"scale-{name}")
        saved[name] = {"notes": notes, "points": [point._asdict() for point in points]}
    (into / FIGURES).write_text(json.dumps(saved, indent=1) + "\n")
    (into / "scale.md").write_text(_page(saved))
    print(f"saved in {into}")


def _page(saved: Saved) -> str:
    page = ["# How Kvorum scales"]
    for name in [known for known in SWEEPS if known in saved]:
        label = SWEEPS[name].label
        notes = "\n".join(f"- {note}" for note in saved[name]["notes"])
        points = [Point(**point) for point in saved[name]["points"]]
        page += [f"## By {label}", notes, f"![by {label}](scale-{name}.svg)", _table(label, points)]
    return "\n\n".join(page) + "\n"


def _table(label: str, points: Sequence[Point]) -> str:
    columns = [f"{op}s/s" for op in OPS] + [f"{op} p99 ms" for op in OPS]
    rows = [[label, *columns, "memory of a node, MB", "disk of all nodes, MB"]]
    for point in points:
        lines = [getattr(point, op) for op in OPS]
        figures = [f"{line['per_s']:,.0f}" for line in lines]
        figures += [f"{line['p99_ms']:,.2f}" for line in lines]
        told = [*figures, f"{point.memory_mb:,.0f}", f"{point.disk_mb:,.0f}"]
        rows.append([f"{point.x:,.4g}" if point.x < 1 else f"{point.x:,.10g}", *told])
    return markdown(rows)


if __name__ == "__main__":
    sys.exit(main())
