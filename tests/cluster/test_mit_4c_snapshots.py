"""MIT 6.5840, lab 4C: a key/value service with clients, whose logs are cut all the time."""

import time

from kvorum import Clerk
from tests.cluster.clients import assert_agreed
from tests.cluster.generic import SNAPSHOTS, assert_log_is_short, generic
from tests.cluster.lagging import INSTALLED, Writer, outrun


def test_snapshot_rpc_4c(make_cluster):
    """A node that lags is sent a snapshot, as the majority has thrown away what it needs."""
    cluster = make_cluster(3, **SNAPSHOTS)
    with Writer(cluster) as writer:
        writer.write(50)
        away = cluster.followers()[0]
        rest = [at for at in cluster.ids if at != away]
        cluster.cut_off(away)
        outrun(cluster, writer, away, cluster.statuses([away])[away].last_index)
        assert_agreed(cluster, b"log", writer.value, *rest)
        cluster.part([away, rest[0]])
        writer.write(1)
        assert cluster.told(away, INSTALLED)
        cluster.part([away, rest[0]], [rest[1]])
        writer.write(20)
        cluster.heal()
        assert_agreed(cluster, b"log", writer.value)


def test_snapshot_size_4c(make_cluster):
    """What is kept does not grow with what was written: not the log, not the disk."""
    cluster = make_cluster(3, **SNAPSHOTS)
    sizes = []
    with Clerk(cluster.endpoints(), timeout=30) as clerk:
        for rounds in (750, 150):  # first LMDB's files grow to what they need at most
            for _ in range(rounds):
                with clerk.pipeline() as pipeline:
                    for number in range(200):
                        pipeline.put(f"key{number % 2}", bytes(1000))
            assert_log_is_short(cluster)
            sizes.append([disk_bytes(cluster.data(at)) for at in cluster.ids])
    grown = [late - early for early, late in zip(*sizes, strict=True)]
    print("bytes kept:", *sizes, "grown by:", grown)
    assert max(grown) < 3_000_000 / 2, "30,000 puts of 1000 bytes were written again"


def test_speed_4c(make_cluster):
    """Flushing and cutting all the time, a client's calls still take less than a heartbeat."""
    cluster = make_cluster(3, **SNAPSHOTS)
    with Clerk(cluster.endpoints(), timeout=30) as clerk:
        clerk.put("key", "")
        began = time.monotonic()
        for number in range(300):
            clerk.put("key", str(number))
        each_s = (time.monotonic() - began) / 300
    print(f"{each_s * 1000:.2f} ms a put")
    assert each_s < 0.1 / 3


def test_snapshot_recover_4c(make_cluster):
    """All nodes are killed and started again; one client."""
    generic(make_cluster, clients=1, nodes=3, crash=True, snapshots=True)


def test_snapshot_recover_many_clients_4c(make_cluster):
    """The same with twenty clients."""
    generic(make_cluster, clients=20, nodes=3, crash=True, snapshots=True, writes=200, rounds=2)


def test_snapshot_unreliable_4c(make_cluster):
    """A bad network."""
    generic(make_cluster, clients=5, unreliable=True, snapshots=True, rounds=2)


def test_snapshot_unreliable_recover_4c(make_cluster):
    """A bad network, and all nodes are killed."""
    generic(make_cluster, clients=5, nodes=3, unreliable=True, crash=True, snapshots=True, rounds=2)


def test_snapshot_unreliable_recover_concurrent_partition_4c(make_cluster):
    """A bad network that splits, and all nodes are killed meanwhile."""
    generic(
        make_cluster,
        clients=5,
        unreliable=True,
        crash=True,
        partitions=True,
        snapshots=True,
        rounds=2,
    )


def test_snapshot_unreliable_recover_concurrent_partition_linearizable_4c(make_cluster):
    """The same on keys that fifteen clients share."""
    generic(
        make_cluster,
        clients=15,
        unreliable=True,
        crash=True,
        partitions=True,
        snapshots=True,
        shared_keys=True,
        rounds=2,
        writes=100,
    )


def disk_bytes(directory) -> int:
    """What the files of a directory take, holes not counted."""
    return sum(file.stat().st_blocks * 512 for file in directory.rglob("*") if file.is_file())
