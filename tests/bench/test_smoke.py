"""Every benchmark runs, in a small size; what it measures depends on the machine."""

import json

import pytest

from bench.peers.etcd import Etcd


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("put-16,gap", ("| put-16", "| no write after SIGKILL of the leader")),
        ("keys", ("| memory of a node", "| disk of all nodes", "| back after SIGKILL of all")),
    ],
)
def test_versus_runs_without_peers(run, rows, told):
    """Each that is not installed is left out, with what would install it."""
    sizes = ("--seconds", "0.3", "--keys", "200", "--many-keys", "500", "--watch-s", "0.5")
    code, output, complaint = run("bench.versus", "--quick", "--rows", rows, *sizes, PATH="")

    assert (code, complaint) == (0, "")
    assert "etcd is left out: apt-get install etcd-server" in output
    assert "redis is left out: apt-get install redis-server" in output
    assert all(line in output for line in told)
    assert "No goal can be judged without etcd." in output


@pytest.mark.skipif(bool(Etcd.why_not()), reason=Etcd.why_not())
def test_versus_drives_etcd_too(run):
    """The same operations, and a verdict."""
    words = ("--quick", "--rows", "put-64", "--seconds", "0.3", "--keys", "200", "--only", "etcd")
    code, output, complaint = run("bench.versus", *words, "--only", "kvorum")

    assert (code, complaint) == (0, "")
    assert "| puts/s, 64 clients" in output


def test_versus_says_which_rows_there_are(run):
    """A row that does not exist is refused before anything starts."""
    code, _, complaint = run("bench.versus", "--rows", "put-2")

    assert code == 2
    assert "no such row: put-2" in complaint


@pytest.mark.parametrize(("sweep", "xs"), [("clients", [1, 64]), ("uptime", [0.0001])])
def test_scale_draws(run, tmp_path, sweep, xs):
    """A picture, the figures, and a page with both, behind what was measured before."""
    load = {"per_s": 1.0, "p99_ms": 2.0}
    point = {"x": 3, "put": load, "get": load, "memory_mb": 4, "disk_mb": 5}
    before = {"notes": ["an earlier day"], "points": [point]}
    (tmp_path / "scale.json").write_text(json.dumps({"nodes": before}))
    words = ("--quick", "--sweeps", sweep, "--seconds", "0.3", "--hours", "0.0001")
    code, output, complaint = run("bench.scale", *words, "--into", str(tmp_path))

    assert (code, complaint) == (0, "")
    assert f"saved in {tmp_path}" in output
    assert b"<svg" in (tmp_path / f"scale-{sweep}.svg").read_bytes()
    assert (tmp_path / f"scale-{sweep}.png").read_bytes().startswith(b"\x89PNG")
    page = (tmp_path / "scale.md").read_text()
    assert f"](scale-{sweep}.svg)" in page
    assert "an earlier day" in page
    figures = json.loads((tmp_path / "scale.json").read_text())
    assert [point["x"] for point in figures[sweep]["points"]] == xs
    assert figures["nodes"] == before


def test_scale_looks_at_what_is_there_before_it_measures(run, tmp_path):
    """Hours later it would be lost."""
    (tmp_path / "scale.json").write_text('{"nodes": ["of another form"]}')
    code, output, complaint = run("bench.scale", "--quick", "--into", str(tmp_path))

    assert (code, output) == (1, "")
    assert "is not what bench.scale saves" in complaint


def test_failover_runs(run):
    """Nothing that was acknowledged is lost by one kill."""
    code, output, complaint = run("bench.failover", "--kills", "1", "--clerks", "2")

    assert (code, complaint) == (0, "")
    assert "0 lost or doubled" in output


def test_restart_runs(run):
    """A node comes back."""
    code, output, complaint = run("bench.restart", "--keys", "1000", "--times", "1")

    assert (code, complaint) == (0, "")
    assert "a linearizable one" in output
