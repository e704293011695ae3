"""How long a cluster writes nothing when its leader is killed with SIGKILL, again and again.

    python -m bench.failover [--kills 20] [--clerks 4] [--nodes 3]

Every clerk appends to a key of its own, one append after the other. Each time the leader is killed
the longest time between two acknowledged writes is taken, of all clerks together, and the node is
started again. In the end every append that was acknowledged must be there once, none twice.
"""

import argparse
import sys
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from statistics import median

from actors.status import ask_all
from kvorum import Clerk, Cluster, NotApplied, OutcomeUnknown

TIMEOUT_S = 30.0
WRITES_BETWEEN = 50
LOOK_S = 0.005


class Writer:
    """A clerk that appends numbers to its own key, and what it heard of each."""

    def __init__(self, number: int, endpoints: list[str]) -> None:
        self.key = f"failover/{number}"
        self.acknowledged_at: list[float] = []
        self.acknowledged: list[int] = []
        self.unknown: list[int] = []
        self._clerk = Clerk(endpoints, TIMEOUT_S)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Let it end its call."""
        self._stopping = True
        self._thread.join()
        self._clerk.close()

    def faults(self, value: bytes) -> list[str]:
        """What of its appends is missing, doubled, or out of order."""
        found = [int(word) for word in value.split()]
        missing = set(self.acknowledged) - set(found)
        strange = set(found) - set(self.acknowledged) - set(self.unknown)
        faults = [f"{self.key}: {number} is lost" for number in sorted(missing)]
        faults += [f"{self.key}: {number} was never written" for number in sorted(strange)]
        if found != sorted(set(found)):
            faults.append(f"{self.key}: doubled, or out of order")
        return faults

    def _run(self) -> None:
        number = 0
        while not self._stopping:
            number += 1
            try:
                self._clerk.append(self.key, f"{number} ")
            except OutcomeUnknown:
                self.unknown.append(number)
            except NotApplied:
                continue
            else:
                self.acknowledged.append(number)
                self.acknowledged_at.append(time.monotonic())


def main() -> int:
    """Measure, print, and say by the exit code whether something was lost or doubled."""
    parser = argparse.ArgumentParser(prog="python -m bench.failover", description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--clerks", type=int, default=4)
    parser.add_argument("--nodes", type=int, default=3)
    arguments = parser.parse_args()

    with Cluster(arguments.nodes) as cluster:
        writers = [Writer(number, cluster.endpoints) for number in range(arguments.clerks)]
        _wait_for(writers, WRITES_BETWEEN)
        gaps = []
        for turn in range(arguments.kills):
            gaps.append(_kill_leader(cluster, writers))
            print(f"kill {turn + 1:>3}: no write for {gaps[-1] * 1000:,.0f} ms", flush=True)
        for writer in writers:
            writer.stop()
        with cluster.clerk(TIMEOUT_S) as clerk:
            faults = [fault for writer in writers for fault in writer.faults(clerk.get(writer.key))]
    done = sum(len(writer.acknowledged) for writer in writers)
    unknown = sum(len(writer.unknown) for writer in writers)
    print(f"{done:,} writes acknowledged, {unknown} unknown; {len(faults)} lost or doubled")
    print(f"gap: median {median(gaps) * 1000:,.0f} ms, longest {max(gaps) * 1000:,.0f} ms")
    print("\n".join(faults[:20]))
    return 1 if faults else 0


def _kill_leader(cluster: Cluster, writers: list[Writer]) -> float:
    """The longest time without a write, from the kill until all is well again."""
    leader = cluster.leader()
    killed_at = time.monotonic()
    cluster.kill(leader)
    _wait_for(writers, WRITES_BETWEEN)
    cluster.start(leader)
    _until(lambda: _are_back(cluster), "all nodes are back")
    _wait_for(writers, WRITES_BETWEEN)
    times = [at for writer in writers for at in list(writer.acknowledged_at) if at > killed_at]
    return max(late - early for early, late in pairwise([killed_at, *sorted(times)]))


def _are_back(cluster: Cluster) -> bool:
    """Whether every node answers and follows: another kill must leave a majority."""
    answers = ask_all(dict(zip(cluster.names, cluster.endpoints, strict=True)), 1.0)
    return len(answers) == len(cluster.names) and all(
        answer.status.leader for answer in answers.values()
    )


def _wait_for(writers: list[Writer], more: int) -> None:
    def count() -> int:
        return sum(len(writer.acknowledged_at) for writer in writers)

    goal = count() + more
    _until(lambda: count() >= goal, f"{more} more writes")


def _until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            sys.exit(f"not within {TIMEOUT_S:g} s: {what}")
        time.sleep(LOOK_S)


if __name__ == "__main__":
    sys.exit(main())
