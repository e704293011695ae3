"""TinyKV, part 2B of test_raftstore: a cluster of five stores without snapshots.

Its generic client appends to a key of its own and scans; here it reads that key.
"""

from kvorum import Clerk
from tests.cluster.clients import ACKNOWLEDGED, assert_agreed, get, put
from tests.cluster.generic import generic
from tests.cluster.harness import Cluster, stays


def test_basic_2b(make_cluster):
    """One client, nothing fails."""
    generic(make_cluster, clients=1, rounds=1)


def test_concurrent_2b(make_cluster):
    """Five clients, nothing fails."""
    generic(make_cluster, clients=5, rounds=1, writes=200)


def test_unreliable_2b(make_cluster):
    """Five clients, a tenth of the messages is lost."""
    generic(make_cluster, clients=5, unreliable=True, rounds=2)


def test_one_partition_2b(make_cluster):
    """A leader in the majority goes on; one in a minority is replaced, the minority keeps the past.

    After healing they agree.
    """
    cluster = make_cluster(5)
    assert put(cluster, b"k1", b"v0") == ACKNOWLEDGED
    leader, followers = cluster.leader(), cluster.followers()
    majority, minority = [leader, *followers[:2]], followers[2:]
    assert_agreed(cluster, b"k1", b"v0")
    cluster.part(majority, minority)
    assert put(cluster, b"k1", b"v1", majority) == ACKNOWLEDGED
    assert get(cluster, b"k1", majority) == b"v1"
    stays(lambda: not cluster.has_leader(minority), 0.5)
    assert set(stale(cluster, b"k1", *minority).values()) == {b"v0"}

    cluster.heal()
    assert_agreed(cluster, b"k1", b"v1")

    leader, followers = cluster.leader(), cluster.followers()
    minority, majority = [leader, followers[0]], followers[1:]
    cluster.part(minority, majority)
    cluster.leader(among=majority)
    assert put(cluster, b"k1", b"v2", majority) == ACKNOWLEDGED
    assert set(stale(cluster, b"k1", *minority).values()) == {b"v1"}

    cluster.heal()
    assert get(cluster, b"k1") == b"v2"
    assert_agreed(cluster, b"k1", b"v2")


def test_many_partitions_one_client_2b(make_cluster):
    """One client, splits at random."""
    generic(make_cluster, clients=1, partitions=True, rounds=2)


def test_many_partitions_many_clients_2b(make_cluster):
    """Five clients, splits at random."""
    generic(make_cluster, clients=5, partitions=True, rounds=2)


def test_persist_one_client_2b(make_cluster):
    """One client, all stores are killed."""
    generic(make_cluster, clients=1, crash=True, rounds=2)


def test_persist_concurrent_2b(make_cluster):
    """Five clients, all stores are killed."""
    generic(make_cluster, clients=5, crash=True, rounds=2)


def test_persist_concurrent_unreliable_2b(make_cluster):
    """Five clients, all stores are killed, a tenth of the messages is lost."""
    generic(make_cluster, clients=5, crash=True, unreliable=True, rounds=2)


def test_persist_partition_2b(make_cluster):
    """Five clients, all stores are killed, splits at random."""
    generic(make_cluster, clients=5, crash=True, partitions=True, rounds=2)


def test_persist_partition_unreliable_2b(make_cluster):
    """Five clients, and all of it."""
    generic(make_cluster, clients=5, crash=True, partitions=True, unreliable=True, rounds=2)


def stale(cluster: Cluster, key: bytes, *ids: int) -> dict[int, bytes | None]:
    """What these nodes have, however old."""
    found = {}
    for at in ids:
        with Clerk([cluster.nodes[at].endpoint], timeout=30) as clerk:
            found[at] = clerk.lookup(key, level="stale")
    return found
