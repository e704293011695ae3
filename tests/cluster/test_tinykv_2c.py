"""TinyKV, part 2C of test_raftstore: snapshots; the log may not grow beyond twice its bound."""

from kvorum import Clerk
from tests.cluster.clients import ACKNOWLEDGED, assert_agreed, get, put
from tests.cluster.generic import SNAPSHOTS, assert_log_is_short, generic
from tests.cluster.harness import until
from tests.cluster.lagging import INSTALLED


def test_one_snapshot_2c(make_cluster):
    """A store that was cut off catches up by a snapshot, which also survives its restart."""
    cluster = make_cluster(3, **SNAPSHOTS)
    leader, (away, other) = cluster.leader(), cluster.followers()
    rest = [leader, other]
    assert put(cluster, b"k1", b"v1") == ACKNOWLEDGED
    assert put(cluster, b"gone", b"there") == ACKNOWLEDGED
    assert_agreed(cluster, b"k1", b"v1")
    cluster.cut_off(away)
    behind = cluster.statuses([away])[away].last_index
    with Clerk(cluster.endpoints(rest), timeout=30) as clerk:
        for number in range(500):
            clerk.put(f"{number % 50}", f"{number}")
        clerk.put("k1", "v2")
        clerk.put("gone", "")
    until(lambda: min(found.truncated_index for found in cluster.statuses(rest).values()) > behind)

    cluster.heal()
    assert_agreed(cluster, b"k1", b"v2")
    assert_agreed(cluster, b"gone", b"")
    assert_agreed(cluster, b"49", b"499")
    assert cluster.told(away, INSTALLED)

    cluster.restart(away)
    assert_agreed(cluster, b"k1", b"v2")
    assert_log_is_short(cluster)
    assert get(cluster, b"k1") == b"v2"


def test_snapshot_recover_2c(make_cluster):
    """One client, all stores are killed."""
    generic(make_cluster, clients=1, crash=True, snapshots=True, rounds=2)


def test_snapshot_recover_many_clients_2c(make_cluster):
    """Twenty clients, all stores are killed."""
    generic(make_cluster, clients=20, crash=True, snapshots=True, rounds=2, writes=200)


def test_snapshot_unreliable_2c(make_cluster):
    """Five clients, a tenth of the messages is lost."""
    generic(make_cluster, clients=5, unreliable=True, snapshots=True, rounds=2)


def test_snapshot_unreliable_recover_2c(make_cluster):
    """Five clients, all stores are killed, a tenth of the messages is lost."""
    generic(make_cluster, clients=5, unreliable=True, crash=True, snapshots=True, rounds=2)


def test_snapshot_unreliable_recover_concurrent_partition_2c(make_cluster):
    """Five clients, and all of it."""
    generic(
        make_cluster,
        clients=5,
        unreliable=True,
        crash=True,
        partitions=True,
        snapshots=True,
        rounds=2,
    )
