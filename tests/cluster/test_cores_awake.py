"""Real nodes on virtual cores: who keeps them from sleep, and until when (actors/awake.py)."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from actors.awake import DEVICE, DRIVER, may_ask
from tests.cluster.clients import Crowd, append_in_pipelines
from tests.cluster.harness import Cluster, until

CORES_MAX = 4
"""On more than these the work of a test is too little of all their time."""

pytestmark = pytest.mark.skipif(
    not may_ask(DEVICE, DRIVER) or (os.cpu_count() or 1) > CORES_MAX,
    reason="keeps no core awake here: real cores, many of them, or a device that is not ours",
)


def asks(cluster: Cluster, at: int) -> bool:
    """Whether that node's process holds the device open."""
    found = []
    for descriptor in Path(f"/proc/{cluster.nodes[at].pid}/fd").iterdir():
        with suppress(OSError):  # it was closed while we looked
            found.append(descriptor.readlink())
    return DEVICE in found


def test_cores_are_kept_awake_while_clients_write(make_cluster):
    """And not at rest."""
    cluster = make_cluster(3)
    crowd = Crowd(cluster.endpoints(), 4, append_in_pipelines)
    until(lambda: any(asks(cluster, at) for at in cluster.ids), what="who works asks")
    crowd.stop()
    until(lambda: not any(asks(cluster, at) for at in cluster.ids), what="at rest nobody asks")


def test_no_node_does_where_the_config_says_so(make_cluster):
    """`keep_cores_awake: false`."""
    cluster = make_cluster(1, keep_cores_awake=False)
    crowd = Crowd(cluster.endpoints(), 4, append_in_pipelines)
    for _ in range(20):
        assert crowd.wait_for(200)
        assert not asks(cluster, 1)
    crowd.stop()
