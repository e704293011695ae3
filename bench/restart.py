"""How soon a node with many keys serves again after SIGKILL, from the start of its process on.

    python -m bench.restart [--keys 1000000] [--times 3]

A cluster of three is filled. Then one node after the other is killed right after a burst of writes
that it has not flushed, and started again: how long until it answers a stale read, which takes its
own data only, and a linearizable one, which takes a leader and the replay of its log as well.
"""

import argparse
import sys
import time
from collections.abc import Callable

from kvorum import Clerk, Cluster, KvorumError

VALUE_BYTES = 100
BURST_KEYS = 50_000
ASK_S = 0.25
DEADLINE_S = 60.0


def main() -> int:
    """Measure, and print one line for each restart."""
    parser = argparse.ArgumentParser(prog="python -m bench.restart", description=__doc__)
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()

    with Cluster(3) as cluster, cluster.clerk(DEADLINE_S) as clerk:
        spent = _fill(clerk, arguments.keys)
        print(f"{arguments.keys:,} keys put in {spent:.1f} s", flush=True)
        for turn in range(arguments.times):
            _fill(clerk, min(BURST_KEYS, arguments.keys))
            name = cluster.names[turn % len(cluster.names)]
            endpoint = cluster.endpoints[turn % len(cluster.names)]
            cluster.kill(name)
            began = time.monotonic()
            cluster.start(name)
            stale_s = _until_answered(endpoint, "stale") - began
            read_s = _until_answered(endpoint, "linearizable") - began
            print(f"{name}: a stale read after {stale_s:.2f} s, a linearizable one {read_s:.2f} s")
    return 0


def _fill(clerk: Clerk, keys: int) -> float:
    began = time.monotonic()
    value = bytes(VALUE_BYTES)
    with clerk.pipeline() as pipeline:
        for number in range(keys):
            pipeline.put(b"key/%09d" % number, value)
    return time.monotonic() - began


def _until_answered(endpoint: str, level: str) -> float:
    """When this node, and no other, answers."""
    return _until(lambda: _answers(endpoint, level))


def _answers(endpoint: str, level: str) -> bool:
    with Clerk([endpoint], ASK_S) as clerk:
        try:
            return clerk.lookup(b"key/%09d" % 0, level=level) is not None
        except KvorumError:
            return False


def _until(condition: Callable[[], bool]) -> float:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"no answer within {DEADLINE_S:g} s")
    return time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
