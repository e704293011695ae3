"""The bar: kill -9 of the leader under write load, twenty times.

No acknowledged write is lost, none is applied twice, and the cluster soon writes again. The bound
here is for a machine that does much else; `python -m bench.failover` measures the real gaps.
"""

import time

from tests.cluster.clients import (
    Crowd,
    append_in_pipelines,
    append_to_own_key,
    assert_nothing_lost,
    replicas,
)
from tests.cluster.harness import until

KILLS = 20
CLIENTS = 3
GAP_S_MAX = 10.0


def test_killing_the_leader_twenty_times_loses_and_doubles_nothing(make_cluster):
    """Each time the others elect, write, and take the killed one back while they go on."""
    cluster = make_cluster(3)
    crowd = Crowd(cluster.endpoints(), CLIENTS, append_to_own_key)
    pipelines = Crowd(cluster.endpoints(), 1, append_in_pipelines)
    crowd.wait_for(50)
    gaps = []
    for _ in range(KILLS):
        leader = cluster.leader()
        killed_at = time.monotonic()
        cluster.kill(leader)
        crowd.wait_for(10 * CLIENTS)
        gaps.append(crowd.longest_gap_s(killed_at))
        cluster.start(leader)
        until(lambda: all(cluster.statuses().get(at) for at in cluster.ids))
        crowd.wait_for(5 * CLIENTS)
    crowd.stop()
    pipelines.stop()
    print("longest gaps, ms:", *(round(gap * 1000) for gap in gaps))
    assert_nothing_lost(cluster, crowd)
    assert_nothing_lost(cluster, pipelines)
    for number in range(CLIENTS):
        assert len(set(replicas(cluster, b"own/%d" % number).values())) == 1
    assert max(gaps) < GAP_S_MAX
