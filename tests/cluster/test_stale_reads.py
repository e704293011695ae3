"""What a read that asks nobody may return: an old state, but none from before a restart (R3)."""

from kvorum import Clerk
from messages.client import STALE
from tests.cluster.rawclerk import RawClerk

WRITES = 3_000
UNFLUSHED = {"flush_ms": 3_600_000}
"""So that after a kill everything is to be applied again, which takes a moment."""


def test_time_does_not_go_back_over_a_restart(make_cluster):
    """Right after it was killed a node has what it knew to be committed, or says nothing yet."""
    cluster = make_cluster(1, **UNFLUSHED)
    node = cluster.nodes[1]
    with Clerk(cluster.endpoints(), timeout=60) as clerk:
        clerk.put("early", "value")
        for _ in range(3):
            with clerk.pipeline() as pipeline:
                for number in range(WRITES):
                    pipeline.put(f"later/{number}", "value")
            cluster.kill(1)
            cluster.start(1)
            with RawClerk(node.endpoint, timeout_s=60) as reader:
                assert reader.read(b"early", level=STALE) == (b"value",)
