"""What a node does when its machine fails it: dead threads, taken ports, wrong data, full disks."""

import errno
import os
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import yaml

from kv.outcomes import Why
from kvorum import Clerk, DiskFull, OutcomeUnknown
from messages.client import LINEARIZABLE
from tests.cluster.clients import (
    ACKNOWLEDGED,
    Crowd,
    append_to_own_key,
    assert_agreed,
    assert_nothing_lost,
    get,
    put,
)
from tests.cluster.dying_node import ACTORS
from tests.cluster.harness import HOST, until
from tests.cluster.rawclerk import RawClerk
from tests.smalldisk import mounted

REFUSED_CODE = 2
FAILED_CODE = 1
DISK_BYTES = 256 << 20
RESERVE_BYTES = 16 << 20
SMALL_DISK = {
    "disk_reserve_bytes": RESERVE_BYTES,
    "flush_ms": 100,
    "flush_bytes": 65_536,
    "election_timeout_ms_min": 500,
    "election_timeout_ms_max": 1000,
}


@pytest.mark.nodes_may_fail
@pytest.mark.parametrize("actor", ACTORS)
def test_a_dead_actor_ends_its_process(make_cluster, actor):
    """O5: no zombie; the process says which actor and why, ends non-zero, and starts again."""
    cluster = make_cluster(1, start=False, module="tests.cluster.dying_node")
    cluster.start()
    assert put(cluster, b"key", b"value") == ACKNOWLEDGED
    order = cluster.directory / "die"
    order.write_text(actor)

    assert cluster.nodes[1].wait() == FAILED_CODE
    assert cluster.told(1, f"actor failed actor={actor}")
    assert cluster.told(1, f"{actor} was told to fail")

    order.unlink()
    cluster.start()
    assert get(cluster, b"key") == b"value"


def test_disks_that_turn_slow_do_not_unseat_leaders(make_cluster):
    """M8, decision 0013: a leader never waits for its disk, a follower waits for it once."""
    cluster = make_cluster(
        start=False,
        module="tests.cluster.slow_node",
        election_timeout_ms_min=1500,  # on a busy machine elections come of less
        election_timeout_ms_max=3000,
    )
    cluster.start()
    with Clerk(cluster.endpoints()) as clerk:
        for _ in range(200):
            clerk.put("key", "quick")
        term = cluster.term()

        (cluster.directory / "slow").write_text("0.5")
        for _ in range(12):
            clerk.put("key", "slow")

    assert cluster.term() == term
    assert any(cluster.told(at, "slow disk") for at in (1, 2, 3))


@pytest.mark.nodes_may_fail
@pytest.mark.parametrize("port", ["client_port", "peer_port"])
def test_a_taken_port_is_refused(make_cluster, port):
    """A node that cannot listen exits with 2, at once, and says which port; later it can start."""
    cluster = make_cluster(1, start=False)
    number = getattr(cluster.nodes[1], port)
    with socket.socket() as taker:
        # Links of a cluster that had this port a moment ago may linger, as they may for a node.
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taker.bind((HOST, number))
        taker.listen()
        cluster.start()
        assert cluster.nodes[1].wait(10) == REFUSED_CODE
    assert cluster.told(1, f"cannot listen at {HOST}:{number}")
    assert "Traceback" not in cluster.log_file(1).read_text()

    cluster.start()
    assert put(cluster, b"key", b"value") == ACKNOWLEDGED


@pytest.mark.nodes_may_fail
def test_the_data_of_another_cluster_is_refused(make_cluster):
    """D12: a directory says whose it is."""
    cluster = make_cluster(1)
    cluster.leader()
    cluster.kill()
    config = yaml.safe_load(cluster.config_file(1).read_text())
    cluster.config_file(1).write_text(yaml.safe_dump({**config, "cluster": "another"}))
    cluster.start()
    assert cluster.nodes[1].wait() == REFUSED_CODE
    assert "another" in cluster.log_file(1).read_text()
    assert "Traceback" not in cluster.log_file(1).read_text()


@pytest.mark.nodes_may_fail
def test_the_data_of_another_node_is_refused(make_cluster):
    """D12: two nodes with one past would vote twice."""
    cluster = make_cluster(3)
    put(cluster, b"key", b"value")
    cluster.kill(1, 2)
    shutil.rmtree(cluster.data(2))
    cluster.data(1).rename(cluster.data(2))
    cluster.start(2)
    assert cluster.nodes[2].wait() == REFUSED_CODE
    assert "Traceback" not in cluster.log_file(2).read_text()


@pytest.mark.nodes_may_fail
def test_a_second_process_on_the_same_data_is_refused(make_cluster):
    """One directory, one process; the first one goes on."""
    cluster = make_cluster(1)
    cluster.leader()
    first = cluster.nodes[1].process
    assert first is not None
    cluster.nodes[1].process = None
    cluster.start()
    assert cluster.nodes[1].wait() == REFUSED_CODE
    cluster.nodes[1].process = first
    assert put(cluster, b"key", b"value") == ACKNOWLEDGED


@pytest.mark.nodes_may_fail
def test_a_member_without_its_data_does_not_come_back_empty(make_cluster):
    """D12: a member's directory that was emptied but for its name is no new member's."""
    cluster = make_cluster(3)
    assert put(cluster, b"key", b"value") == ACKNOWLEDGED
    cluster.caught_up()
    cluster.kill(1)
    shutil.rmtree(cluster.data(1) / "log")
    cluster.start(1)
    assert cluster.nodes[1].wait() == REFUSED_CODE
    assert put(cluster, b"key", b"later", [2, 3]) == ACKNOWLEDGED


def test_the_other_nodes_of_another_cluster_are_not_heard(make_cluster):
    """A node of another cluster that was given our ports finds no one there, and does no harm."""
    ours = make_cluster(3)
    assert put(ours, b"key", b"value") == ACKNOWLEDGED
    ours.caught_up()
    theirs = make_cluster(3, start=False, cluster="theirs")
    config = yaml.safe_load(theirs.config_file(1).read_text())
    for node in config["nodes"][1:]:
        node["peer_port"] = ours.nodes[node["id"]].peer_port
    theirs.config_file(1).write_text(yaml.safe_dump(config))
    theirs.start(1)

    until(lambda: ours.told(2, "another cluster=") and ours.told(3, "another cluster="))
    assert not theirs.has_leader([1])
    assert put(ours, b"key", b"later") == ACKNOWLEDGED
    assert_agreed(ours, b"key", b"later")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, which only root may mount."""
    with mounted(tmp_path / "disk", DISK_BYTES) as disk:
        yield disk


def test_a_disk_that_fills_refuses_writes_until_there_is_space(make_cluster, small_disk):
    """O1: refused with a clear error; reads and elections go on, and all does given space."""
    cluster = make_cluster(3, directory=small_disk, **SMALL_DISK)
    crowd = Crowd(cluster.endpoints(), 3, append_to_own_key, timeout_s=5.0)
    crowd.wait_for(100)
    assert put(cluster, b"key", b"value") == ACKNOWLEDGED
    ballast = small_disk / "ballast"
    fill(ballast, RESERVE_BYTES // 3)  # beside the half that is held
    with Clerk(cluster.endpoints(), timeout=30) as clerk:
        until(lambda: is_refused_for_space(clerk), what="a write is refused as the disk is full")
        assert clerk.get("key") == b"value"
        leader = cluster.leader()
        cluster.pause(leader)
        cluster.leader(among=[at for at in cluster.ids if at != leader])
        assert clerk.get("key") == b"value"
        cluster.resume(leader)
        assert is_refused_for_space(clerk)

        ballast.unlink()
        until(lambda: not is_refused_for_space(clerk), what="writes work again")
    crowd.wait_for(100)
    crowd.stop()
    assert_nothing_lost(cluster, crowd)


def test_a_disk_without_a_byte_left_is_survived(make_cluster):
    """O1: even where somebody else takes it at one blow, reads and elections go on.

    What was in flight, and would keep the votes behind it, fits into the half that is held. Each
    node has a disk of its own: on one for all, what one gives up would be space to the others.
    """
    cluster = make_cluster(3, start=False, **SMALL_DISK)
    with ExitStack() as mounts:
        disks = [cluster.directory / cluster.nodes[at].name for at in cluster.ids]
        for disk in disks:
            mounts.enter_context(mounted(disk, 4 * RESERVE_BYTES))
        cluster.start()
        crowd = Crowd(cluster.endpoints(), 3, append_to_own_key, timeout_s=5.0)
        crowd.wait_for(100)
        assert put(cluster, b"key", b"value") == ACKNOWLEDGED
        for disk in disks:
            fill(disk / "ballast", 0)
        with Clerk(cluster.endpoints(), timeout=30) as clerk:
            until(lambda: is_refused_for_space(clerk), what="a write is refused")
            assert clerk.get("key") == b"value"
            leader = cluster.leader()
            cluster.pause(leader)
            cluster.leader(among=[at for at in cluster.ids if at != leader])
            assert clerk.get("key") == b"value"
            cluster.resume(leader)

            for disk in disks:
                (disk / "ballast").unlink()
            until(lambda: not is_refused_for_space(clerk), what="writes work again")
        crowd.wait_for(100)
        crowd.stop()
        assert_nothing_lost(cluster, crowd)


def fill(ballast: Path, left_bytes: int) -> None:
    """Take all but this at one blow, and never what the nodes give up when they notice."""
    wanted = shutil.disk_usage(ballast.parent).free - left_bytes
    with ballast.open("wb") as file:
        while wanted > 0:
            try:
                os.posix_fallocate(file.fileno(), 0, wanted)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                wanted -= 65_536  # the nodes wrote since we looked
            else:
                return


def is_refused_for_space(clerk: Clerk) -> bool:
    """Whether a put fails because a disk is full.

    One that was sent twice, as its answer took long, may have been let in the first time: of that
    a later refusal says nothing, and its outcome is unknown (C1).
    """
    try:
        clerk.put("full", "?")
    except DiskFull:
        return True
    except OutcomeUnknown as unknown:
        if Why.DISK_FULL.value not in str(unknown):
            raise
        return True
    return False


def test_a_node_that_hangs_costs_no_call_its_outcome(make_cluster):
    """SIGSTOP of the leader, under load: others take over, and take it back."""
    cluster = make_cluster(3)
    crowd = Crowd(cluster.endpoints(), 4, append_to_own_key)
    crowd.wait_for(50)
    for _ in range(3):
        leader = cluster.leader()
        cluster.pause(leader)
        crowd.wait_for(50)
        cluster.leader(among=[at for at in cluster.ids if at != leader])
        cluster.resume(leader)
        crowd.wait_for(20)
    crowd.stop()
    print(f"longest gap {crowd.longest_gap_s() * 1000:.0f} ms")
    assert_nothing_lost(cluster, crowd)


def test_one_way_and_partial_partitions_leave_a_majority_that_works(make_cluster):
    """A leader that is heard but hears nobody, and one that half of the others cannot reach."""
    cluster = make_cluster(5)
    crowd = Crowd(cluster.endpoints(), 3, append_to_own_key)
    crowd.wait_for(30)
    leader = cluster.leader()
    for at in cluster.ids:
        if at != leader:
            cluster.one_way(at, leader)
    crowd.wait_for(30)
    cluster.heal()
    leader, (first, second, *_) = cluster.leader(), cluster.followers()
    for at in (first, second):
        cluster.one_way(leader, at)
        cluster.one_way(at, leader)
    crowd.wait_for(30)
    cluster.links.set(cluster.links.peers(), state="stalled")
    crowd.wait_for(30, 0.5, ok=True)
    cluster.heal()
    crowd.wait_for(30)
    cluster.links.set(cluster.links.peers(), chop_s=0.2, delay_s_min=0.02, delay_s_max=0.1)
    crowd.wait_for(30, ok=True, seconds=3.0)
    cluster.heal()
    crowd.wait_for(30)
    crowd.stop()
    assert_nothing_lost(cluster, crowd)


def test_sigterm_stops_cleanly_and_keeps_everything(make_cluster):
    """Exit code 0 for each, under load; what was acknowledged is there at the next start."""
    cluster = make_cluster(3)
    cluster.caught_up()
    crowd = Crowd(cluster.endpoints(), 4, append_to_own_key)
    crowd.wait_for(100)
    assert cluster.stop() == [0, 0, 0]
    cluster.start()
    cluster.leader()
    crowd.wait_for(20)
    for at in cluster.ids:
        assert cluster.stop(at) == [0]
        crowd.wait_for(20)
        cluster.start(at)
        cluster.caught_up()
    crowd.stop()
    assert_nothing_lost(cluster, crowd)


def test_a_node_serves_soon_after_a_kill(make_cluster):
    """100,000 keys, kill -9 of all: each node serves again; `python -m bench.restart` does 1 M."""
    cluster = make_cluster(3)
    with Clerk(cluster.endpoints(), timeout=60) as clerk, clerk.pipeline() as pipeline:
        for number in range(100_000):
            pipeline.put(f"key/{number:09}", f"{number}" * 20)
    cluster.caught_up()
    cluster.kill()
    cluster.start()
    began = time.monotonic()
    for node in cluster.nodes.values():
        with RawClerk(node.endpoint, timeout_s=1) as raw:
            found = until(partial(raw.read, b"key/000099999", level=LINEARIZABLE))
            assert found == (b"99999" * 20,)
    took_s = time.monotonic() - began
    print(f"all three answer {took_s:.2f} s after they were started together")
    assert took_s < 20
    assert get(cluster, b"key/000000001") == b"1" * 20
