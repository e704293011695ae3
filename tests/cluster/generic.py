"""The test that the labs and TinyKV run again and again: clients at work while everything fails.

Clients append to keys of their own, or do all kinds of things to keys that all share. Meanwhile the
network may lose and delay, split in two again and again, and all nodes may be killed at once. In
the end what was acknowledged is there once, and some order explains what everybody saw.
"""

from random import Random
from typing import Any

from tests.cluster.clients import (
    Crowd,
    append_to_own_key,
    assert_linearizable,
    assert_nothing_lost,
    own_key,
    put_and_append_anywhere,
    replicas,
)
from tests.cluster.conftest import MakeCluster
from tests.cluster.harness import Cluster, until
from tests.cluster.links import UNRELIABLE

TRAILING = 20
SNAPSHOTS: dict[str, Any] = {
    "log_trailing_entries": TRAILING,
    "log_behind_bytes_max": 0,
    "flush_ms": 50,
}
"""A node keeps next to no log: whoever was away needs a snapshot."""

SPLIT_S_MAX = 1.0
"""A split in which nobody gets on ends after so long."""


def generic(
    make_cluster: MakeCluster,
    *,
    clients: int,
    nodes: int = 5,
    unreliable: bool = False,
    crash: bool = False,
    partitions: bool = False,
    snapshots: bool = False,
    shared_keys: bool = False,
    rounds: int = 3,
    writes: int = 60,
) -> Cluster:
    """Run it; so many writes are done at least in each round."""
    cluster = make_cluster(nodes, **(SNAPSHOTS if snapshots else {}))
    chance = Random(clients * 31 + nodes)
    if unreliable:
        cluster.unreliable(**UNRELIABLE)
        cluster.links.set(cluster.links.clients(), lose=0.02, double=0.02, delay_s_max=0.005)
    work = put_and_append_anywhere if shared_keys else append_to_own_key
    crowd = Crowd(cluster.endpoints(), clients, work)
    for _ in range(rounds):
        crowd.wait_for(writes)
        if partitions:
            for _ in range(2):
                cluster.split(chance)
                crowd.wait_for(writes, SPLIT_S_MAX, ok=True)
        if crash:
            cluster.kill()
        cluster.heal()
        if crash:
            cluster.start()
        crowd.wait_for(writes)
    history = crowd.stop()
    cluster.unreliable()
    assert_linearizable(history)
    assert_nothing_lost(cluster, crowd)
    found = replicas(cluster, own_key(0))
    assert len(set(found.values())) == 1, found
    if snapshots:
        assert_log_is_short(cluster)
    return cluster


def assert_log_is_short(cluster: Cluster) -> None:
    """Every node comes to hold no more than twice what it was told to keep."""
    until(
        lambda: all(
            status.last_index - status.truncated_index <= 2 * TRAILING
            for status in cluster.statuses().values()
        ),
        what=f"short logs: {cluster.statuses()}",
    )
