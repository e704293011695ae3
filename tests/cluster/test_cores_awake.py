"""Real nodes on virtual cores: who keeps them from sleep, and until when (actors/awake.py)."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from actors.awake import DEVICE, DRIVER, may_ask
from actors.seat import LOOK_S
from tests.cluster.clients import Crowd, append_in_pipelines
from tests.cluster.harness import Cluster, stays, until

CORES, CORES_MAX = os.cpu_count() or 1, 4
"""On more than these the work of a test is too little of all their time."""

CLIENTS = 8
SEVERAL_LOOKS_S = 4 * LOOK_S

pytestmark = pytest.mark.skipif(
    not may_ask(DEVICE, DRIVER) or not 1 < CORES <= CORES_MAX,
    reason="nobody keeps cores awake here: real ones, one, many, or a device that is not ours",
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
    crowd = Crowd(cluster.endpoints(), CLIENTS, append_in_pipelines)
    until(lambda: any(asks(cluster, at) for at in cluster.ids), what="who works asks")
    crowd.stop()
    until(lambda: not any(asks(cluster, at) for at in cluster.ids), what="at rest nobody asks")


def test_no_node_does_where_the_config_says_so(make_cluster):
    """`keep_cores_awake: false`."""
    cluster = make_cluster(1, keep_cores_awake=False)
    crowd = Crowd(cluster.endpoints(), CLIENTS, append_in_pipelines)
    assert crowd.wait_for(1)
    stays(lambda: not asks(cluster, 1), SEVERAL_LOOKS_S)
    crowd.stop()


def test_a_node_without_a_core_of_its_own_does_too(make_cluster):
    """Either choice has it look at what it uses."""
    cluster = make_cluster(1, one_core_while_quiet=False)
    crowd = Crowd(cluster.endpoints(), CLIENTS, append_in_pipelines)
    until(lambda: asks(cluster, 1), what="it works, and asks")
    crowd.stop()
