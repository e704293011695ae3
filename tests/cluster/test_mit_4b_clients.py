"""MIT 6.5840, lab 4B: a key/value service with clients, without snapshots.

The lab's put names a version; here a session makes each write take effect once, which is what the
lab's versions are for, so the namesakes append: a write done twice or lost shows in the value.
"""

import time

from kvorum import Clerk
from tests.cluster.clients import (
    ACKNOWLEDGED,
    REFUSED,
    UNKNOWN,
    Client,
    assert_agreed,
    get,
    put,
)
from tests.cluster.generic import generic


def test_basic_4b(make_cluster):
    """One client puts, appends and gets."""
    generic(make_cluster, clients=1, nodes=3, rounds=1)


def test_speed_4b(make_cluster):
    """A client's calls take less than a heartbeat interval each: nothing waits for a tick."""
    cluster = make_cluster(
        3, heartbeat_ms=100, election_timeout_ms_min=1000, election_timeout_ms_max=2000
    )
    with Clerk(cluster.endpoints()) as clerk:
        client = Client(clerk)
        assert client.put(b"speed", b"") == ACKNOWLEDGED
        began = time.monotonic()
        for _ in range(200):
            assert client.append(b"speed", b"x") == ACKNOWLEDGED
        each_s = (time.monotonic() - began) / 200
        assert client.get(b"speed") == b"x" * 200
    print(f"{each_s * 1000:.2f} ms an append")
    assert each_s < 0.1 / 3


def test_concurrent_4b(make_cluster):
    """Many clients at once."""
    generic(make_cluster, clients=5, nodes=3, rounds=1, writes=300, shared_keys=True)


def test_unreliable_4b(make_cluster):
    """A network that loses, delays, doubles and reorders, also between clerks and nodes."""
    generic(make_cluster, clients=5, unreliable=True, rounds=2)


def test_one_partition_4b(make_cluster):
    """No progress in a minority; what waits there is done after the network has healed."""
    cluster = make_cluster(5)
    assert put(cluster, b"1", b"13") == ACKNOWLEDGED
    leader = cluster.leader()
    minority = [leader, cluster.followers()[0]]
    majority = [at for at in cluster.ids if at not in minority]
    cluster.part(minority, majority)
    cluster.leader(majority)

    assert put(cluster, b"1", b"14", majority) == ACKNOWLEDGED
    with Clerk(cluster.endpoints(minority)) as clerk:
        lost = Client(clerk, timeout_s=1.0)
        assert lost.put(b"1", b"15") in (REFUSED, UNKNOWN)
        assert lost.get(b"1") is None
        assert get(cluster, b"1", majority) == b"14"
        waiting = clerk.append_async(b"1", b"16", timeout=30)
        assert put(cluster, b"2", b"17", majority) == ACKNOWLEDGED
        assert not waiting.done()
        cluster.heal()
        waiting.result()
    assert get(cluster, b"1") in (b"1416", b"1516")
    assert_agreed(cluster, b"2", b"17")


def test_many_partitions_one_client_4b(make_cluster):
    """One client, while the network splits in two again and again."""
    generic(make_cluster, clients=1, partitions=True)


def test_many_partitions_many_clients_4b(make_cluster):
    """Many clients, while the network splits in two again and again."""
    generic(make_cluster, clients=5, partitions=True)


def test_persist_one_client_4b(make_cluster):
    """One client, while all nodes are killed and started again."""
    generic(make_cluster, clients=1, nodes=3, crash=True)


def test_persist_concurrent_4b(make_cluster):
    """Many clients, while all nodes are killed and started again."""
    generic(make_cluster, clients=5, nodes=3, crash=True)


def test_persist_concurrent_unreliable_4b(make_cluster):
    """The same over a bad network."""
    generic(make_cluster, clients=5, nodes=3, crash=True, unreliable=True, rounds=2)


def test_persist_partition_4b(make_cluster):
    """All nodes are killed while the network is split, and started after it healed."""
    generic(make_cluster, clients=5, crash=True, partitions=True, rounds=2)


def test_persist_partition_unreliable_4b(make_cluster):
    """All three at once."""
    generic(make_cluster, clients=5, crash=True, partitions=True, unreliable=True, rounds=2)


def test_persist_partition_unreliable_linearizable_4b(make_cluster):
    """All three at once, on keys that fifteen clients share."""
    generic(
        make_cluster,
        clients=15,
        crash=True,
        partitions=True,
        unreliable=True,
        shared_keys=True,
        rounds=2,
        writes=100,
    )
