"""`python -m bench.profile`: where the time of a put goes."""

import socket

import pytest

from actors.counters import ask_counters
from bench.stages import STAGES, share_of, stages_of

COUNTED = {
    "kvserver_turns": 30,
    "kvserver_busy_ns": 5_000_000,
    "operations": 100,
    "frames": 100,
    "frames_decode_ns": 100 * 20_000,
    "frames_gather_ns": 100 * 300_000,
    "frames_waved": 100,
    "frames_wave_ns": 100 * 2_000_000,
    "frames_apply_ns": 100 * 40_000,
    "frames_reply_ns": 100 * 60_000,
    "waves": 10,
    "waves_ns": 10 * 1_000_000,
    "raft_turns": 40,
    "raft_busy_ns": 8_000_000,
    "writes": 10,
    "entries": 10,
    "writes_ns": 10 * 500_000,
    "syncs_ns": 10 * 300_000,
    "commits": 10,
    "commits_ns": 10 * 800_000,
}


def test_the_stages_add_up_to_what_clients_see():
    """Large waves take longer than the mean of all; Raft's part of theirs is that of all."""
    stages = stages_of(COUNTED, clerk_us=50.0, mean_us=3_000.0)

    assert {stage.name: round(stage.us) for stage in stages} == {
        "clerk": 50,
        "decode": 20,
        "wave before": 300,
        "propose": 400,
        "log write": 1_000,
        "replicate": 600,
        "apply": 40,
        "reply": 60,
        "network and waiting": 530,
    }
    assert sum(stage.us for stage in stages) == pytest.approx(3_000)


def test_a_majority_is_there_before_the_leaders_own_disk_or_after_it():
    """The slower of the two is what the put waits for."""
    quick = COUNTED | {"commits_ns": 10 * 450_000}
    found = {stage.name: stage.us for stage in stages_of(quick, clerk_us=0.0, mean_us=3_000.0)}

    assert (found["log write"], found["replicate"]) == (1_000, 0)


def test_a_node_that_did_nothing_took_no_time():
    """As one that has just come back."""
    nothing = dict.fromkeys(COUNTED, 0)

    assert share_of("node1", nothing, 5) == ("node1", 0, 0, 0, 0, 0)
    assert [us for _, us in stages_of(nothing, 1.0, 3.0)] == [1, *[0] * 7, 2]


def test_profile_draws(cluster, run, tmp_path):
    """A chart for each load in the terminal, and a picture."""
    file = tmp_path / "put.svg"
    words = ("--clients", "1,8", "--seconds", "0.4", "--keys", "50", "--svg", str(file))
    code, output, complaint = run(
        "bench.profile", *words, "--endpoints", ",".join(cluster.endpoints)
    )

    assert (code, complaint) == (0, "")
    assert "\n1 at a time: " in output and "\n8 at a time: " in output
    assert all(output.count(f" {name} ") >= 2 for name in STAGES)
    assert "node1, leads" in output
    assert b"<svg" in file.read_bytes()


def test_a_lone_clients_puts_are_counted_on_their_whole_way(cluster):
    """Each is a wave, a write and a commit of its own."""
    before = ask_counters(cluster.endpoints[0], 5.0)
    with cluster.clerk(30.0) as clerk:
        for number in range(20):
            clerk.put(b"%d" % number, b"v")
    after = ask_counters(cluster.endpoints[0], 5.0)

    assert before and after
    grown = {name: after[name] - before[name] for name in after}
    assert grown["operations"] == 20
    assert grown["waves"] >= 20 and grown["writes"] >= 20 and grown["commits"] >= 20
    assert grown["syncs_ns"] > 0 and grown["writes_ns"] > 0
    assert grown["waves_ns"] > 0


def test_who_is_no_node_tells_nothing():
    """A port that takes connections and is silent."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert ask_counters("{}:{}".format(*silent.getsockname()), 0.2) is None
