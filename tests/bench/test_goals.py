"""The tables of `bench.versus`, from figures made up."""

from bench.goals import GOALS, table_of, verdicts
from bench.tally import Line
from bench.trials import FRESH, LOADS


def loaded(per_s: float, p50_ms: float = 1.0, p99_ms: float = 2.0, cpu: float = 1.0) -> Line:
    """A line of a load."""
    times = {"p50_ms": p50_ms, "p99_ms": p99_ms}
    return {"per_s": per_s, "cpu_s_per_10k": cpu, "failed": 0} | times


def cells(table: str) -> list[list[str]]:
    """The rows of a table."""
    rows = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_every_goal_is_measured():
    """It names a row that there is."""
    assert {goal.row for goal in GOALS} <= {*LOADS, *FRESH}


def test_the_median_of_the_rounds_is_told_with_its_ratio():
    """One slow round changes nothing."""
    kvorum = [loaded(30_000), loaded(100), loaded(40_000)]
    results = {"put-16": {"kvorum": kvorum, "etcd": [loaded(10_000)] * 3}}

    _, _, ours, peer = cells(table_of(results))

    assert ours == ["put-16", "kvorum", "30,000", "1.00", "2.00", "1.00", "", "0", "3.00"]
    assert peer[-1] == "1.00"


def test_a_goal_is_met_or_not():
    """More is better for throughput, less for everything else; an aim may be absolute."""
    results = {
        "put-1000": {"kvorum": [loaded(59_000, cpu=0.4)], "etcd": [loaded(10_000)]},
        "put-1": {"kvorum": [loaded(1, p50_ms=1.1)], "etcd": [loaded(1)]},
        "gap": {"kvorum": [{"gap_ms": 390.0}], "etcd": [{"gap_ms": 1300.0}]},
    }

    verdict = {row[0]: row[-1] for row in cells(verdicts(results))[2:]}

    assert verdict == {
        "puts/s, 1000 clients": "met, aim too",
        "put p50, 1 client": "NOT MET",
        "server CPU of a put, 1000 clients": "met",
        "gap after SIGKILL of the leader": "met, aim too",
    }


def test_nothing_is_judged_without_the_peer():
    """Ours alone is a figure, not a verdict."""
    assert "without etcd" in verdicts({"put-1": {"kvorum": [loaded(1)]}})
