"""MIT 6.5840, lab 4A: a replicated state machine; its increments are appends to one key here."""

import time

from kvorum import Clerk
from messages.client import LINEARIZABLE, Wrote
from tests.cluster.clients import (
    ACKNOWLEDGED,
    Client,
    Crowd,
    append_to_own_key,
    assert_agreed,
    assert_nothing_lost,
    fails,
    get,
    put,
    replicas,
)
from tests.cluster.harness import resident_bytes, until
from tests.cluster.rawclerk import RawClerk


def increment(clerk, times=1):
    """One after the other; every one must be done."""
    for _ in range(times):
        clerk.append("count", "+", timeout=30)


def test_basic_4a(make_cluster):
    """Every server executes ten increments."""
    cluster = make_cluster(3)
    with Clerk(cluster.endpoints()) as clerk:
        increment(clerk, 10)
    assert_agreed(cluster, b"count", b"+" * 10)


def test_concurrent_4a(make_cluster):
    """Increments of fifty threads at once, through one clerk, are each executed once."""
    cluster = make_cluster(3)
    with Clerk(cluster.endpoints()) as clerk:
        calls = [clerk.append_async("count", "+", timeout=30) for _ in range(50)]
        for call in calls:
            call.result()
    assert_agreed(cluster, b"count", b"+" * 50)


def test_leader_failure_4a(make_cluster):
    """A leader is cut off, the rest executes without it, and it catches up when it is back."""
    cluster = make_cluster(3)
    with Clerk(cluster.endpoints()) as clerk:
        increment(clerk)
        leader = cluster.leader()
        cluster.cut_off(leader)
        rest = [at for at in cluster.ids if at != leader]
        cluster.leader(among=rest)
        increment(clerk)
        assert_agreed(cluster, b"count", b"++", *rest)
        cluster.heal()
    assert_agreed(cluster, b"count", b"++")


def test_leader_partition_4a(make_cluster):
    """A leader that was cut off does not commit: it refuses, or says nothing, and never done."""
    cluster = make_cluster(3)
    with Clerk(cluster.endpoints()) as clerk:
        increment(clerk)

        def session_at_leader():
            raw = RawClerk(cluster.nodes[cluster.leader()].endpoint, timeout_s=2.0)
            return raw if raw.open_session() else raw.close()

        raw = until(session_at_leader)
        leader = next(at for at in cluster.ids if cluster.nodes[at].endpoint == raw.endpoint)
        with raw:
            cluster.cut_off(leader)
            assert not isinstance(raw.put(1, b"lost", b"1"), Wrote)
            assert raw.read(b"count", level=LINEARIZABLE) is None
            cluster.leader(among=[at for at in cluster.ids if at != leader])
            increment(clerk, 10)
            assert not isinstance(raw.hear(timeout_s=0), Wrote)
            cluster.heal()
    assert_agreed(cluster, b"count", b"+" * 11)


def test_restart_replay_4a(make_cluster):
    """All are killed and start again: they replay their logs, each write once."""
    cluster = make_cluster(3)
    with Clerk(cluster.endpoints()) as clerk:
        increment(clerk, 100)
        cluster.restart()
        assert_agreed(cluster, b"count", b"+" * 100)
        increment(clerk)
    assert_agreed(cluster, b"count", b"+" * 101)


def test_shutdown_4a(make_cluster):
    """A call that waits when the cluster is killed ends at its deadline, and not much later."""
    cluster = make_cluster(3)
    with Clerk(cluster.endpoints()) as clerk:
        increment(clerk)
        cluster.part()
        began = time.monotonic()
        writes = [clerk.append_async("count", "+", timeout=2.0) for _ in range(10)]
        read = clerk.get_async("count", timeout=2.0)
        cluster.kill()
        assert all(fails(call.result) for call in writes)
        assert fails(read.result)
        assert time.monotonic() - began < 10


def test_restart_submit_4a(make_cluster):
    """Commands after a restart are not taken for older ones, nor older ones for these."""
    cluster = make_cluster(3)
    with Clerk(cluster.endpoints()) as clerk:
        for turn in range(3):
            increment(clerk, 10)
            cluster.restart()
            with Clerk(cluster.endpoints()) as other:
                increment(other, 10)
            assert get(cluster, b"count") == b"+" * 20 * (turn + 1)
    assert_agreed(cluster, b"count", b"+" * 60)


def test_snapshot_4c(make_cluster):
    """A state that was saved and a log that was cut give all of it back after a kill."""
    cluster = make_cluster(3, flush_ms=50, log_trailing_entries=0)
    with Clerk(cluster.endpoints()) as clerk:
        increment(clerk, 100)
        until(lambda: all(found.truncated_index > 90 for found in cluster.statuses().values()))
        cluster.restart()
        increment(clerk)
    assert_agreed(cluster, b"count", b"+" * 101)


def test_mem_put_many_clients_reliable(make_cluster):
    """Lab 2: many clients and long values; what a node keeps does not grow with what was put."""
    cluster = make_cluster(3, flush_ms=100, log_trailing_entries=10, flush_bytes=4_194_304)
    value = bytes(100_000)

    def put_long(client: Client, number: int, _) -> None:
        assert client.put(b"long/%d" % (number % 5), value) == ACKNOWLEDGED
        client.history.clear()

    crowd = Crowd(cluster.endpoints(), 10, put_long)
    crowd.wait_for(300)
    early = max(resident_bytes(cluster.nodes[at].pid) for at in cluster.ids)
    crowd.wait_for(900)
    late = max(resident_bytes(cluster.nodes[at].pid) for at in cluster.ids)
    crowd.stop()
    print(f"RSS {early >> 20} MiB after 300 puts of 100 kB, {late >> 20} MiB after 1200")
    assert late < early + 60_000_000, "900 puts of 100 kB were 90 MB"


def test_unreliable_net(make_cluster):
    """Lab 2: where answers get lost, an unknown outcome may be either, a known one is as told."""
    cluster = make_cluster(3)
    cluster.links.set(cluster.links.clients(), lose=0.2, chop_s=0.3)
    crowd = Crowd(cluster.endpoints(), 3, append_to_own_key, timeout_s=0.3)
    crowd.wait_for(200)
    crowd.stop()
    cluster.links.set(cluster.links.clients())
    assert_nothing_lost(cluster, crowd)
    assert put(cluster, b"own/0", b"") == ACKNOWLEDGED
    assert set(replicas(cluster, b"own/0").values()) == {b""}
