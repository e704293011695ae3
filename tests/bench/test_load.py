"""`python -m bench.load`: each operation, its line, and how a run ends."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest

from bench.ours import Kvorum
from bench.systems import Load
from kvorum import Clerk

PROMISED = {
    *("op", "conns", "clients", "ops", "failed"),
    *("per_s", "p50_ms", "p99_ms", "p999_ms", "max_ms"),
}


@pytest.fixture
def load(cluster, run):
    """Drive the cluster; the line of the load."""

    def load(*words: str):
        told = run("bench.load", "--json", "--endpoints", ",".join(cluster.endpoints), *words)
        code, output, complaint = told
        assert (code, complaint) == (0, "")
        return json.loads(output)

    return load


@pytest.mark.parametrize("op", ["put", "get", "append", "mixed"])
def test_every_operation_is_counted(load, op):
    """As many as were wanted, and the times of all of them."""
    line = load("--op", op, "--clients", "8", "--conns", "2", "--total", "400", "--keys", "50")

    assert line.keys() >= PROMISED
    assert (line["op"], line["clients"], line["conns"]) == (op, 8, 2)
    assert (line["ops"], line["failed"]) == (400, 0)
    assert 0 < line["p50_ms"] <= line["p99_ms"] <= line["p999_ms"] <= line["max_ms"]


def test_the_keys_are_put_once_before_one_comes_again(cluster, load):
    """Also when processes share them: a fill of so many keys leaves none out."""
    load(
        "--total", "90", "--keys", "90", "--value-bytes", "7", "--clients", "6", "--processes", "3"
    )

    with Clerk(cluster.endpoints, timeout=30) as clerk:
        found = {clerk.get(f"key/{number:09}") for number in range(90)}
    assert found == {b"vvvvvvv"}


def test_a_run_may_end_by_the_clock(load):
    """Closed loops end with what was begun in time."""
    line = load("--seconds", "0.5", "--clients", "4", "--read-level", "stale", "--op", "get")

    assert line["ops"] > 0
    assert line["seconds"] == pytest.approx(0.5, abs=0.45)


def test_an_interrupted_run_tells_what_it_measured(cluster):
    """Ctrl-C ends a long run early, not in vain."""
    command = [sys.executable, "-m", "bench.load", "--json", "--announce", "--seconds", "600"]
    command += ["--endpoints", ",".join(cluster.endpoints)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "it begins\n"
        process.send_signal(signal.SIGINT)
        told, _ = process.communicate(timeout=60)

    assert process.returncode in (0, 1)  # 1: before anything was done
    assert json.loads(told)["seconds"] < 60


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_cluster_that_does_not_answer_is_said_to(run, processes):
    """In a sentence, whichever process finds out."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        endpoint = f"127.0.0.1:{nobody.getsockname()[1]}"
        words = ("--endpoints", endpoint, "--timeout", "0.3", "--processes", processes)
        code, output, complaint = run("bench.load", *words)

    assert (code, output) == (1, "")
    assert f"bench.load: {endpoint}: " in complaint
    assert "Traceback" not in complaint


def test_without_endpoints_it_starts_a_cluster(run):
    """A figure needs one command."""
    code, output, _ = run("bench.load", "--total", "100", "--clients", "4")

    assert code == 0
    assert "ops 100, failed 0," in output


@pytest.mark.parametrize(("clients", "cores", "processes"), [(1, 2, 1), (64, 2, 2), (64, 1, 1)])
def test_clients_are_driven_from_as_many_cores_as_etcds(monkeypatch, clients, cores, processes):
    """One process in Python runs on one core at a time; a lone client needs no other."""
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    kvorum = Kvorum()
    command = kvorum.load_command(Load("put", clients, clients, 256, 1000, seconds=1.0))
    kvorum.close()
    assert command[command.index("--processes") + 1] == str(processes)
