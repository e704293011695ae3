"""One simulated world from its birth to its end, drawn from one seed and nothing else."""

from collections import Counter
from random import Random

from verify.clients import Clients
from verify.cluster import Cluster
from verify.healing import Healing
from verify.nemesis import Nemesis
from verify.swarm import Swarm, draw
from verify.timeline import Timeline
from verify.transcript import TICK, Transcript


class World:
    """Servers, their users and their nemesis."""

    def __init__(self, seed: int, transcript: Transcript) -> None:
        random = Random(seed)
        self.seed = seed
        self.swarm = draw(random)
        self.timeline = Timeline(random, self.swarm, transcript)
        self.timeline.note(0, "the world is", self.swarm)
        self.cluster = Cluster(self.timeline)
        self.clients = Clients(self.cluster)
        self.nemesis = Nemesis(self.cluster)

    def run(self) -> Counter[str]:
        """Let faults strike, let them end, and count what happened; a broken law raises."""
        self.clients.start()
        self.nemesis.start()
        self.timeline.run(self.swarm.fault_ticks * TICK)
        self.nemesis.stop()
        self.clients.stop()
        self.cluster.heal()
        Healing(self.cluster, self.clients, settling(self.swarm)).run()
        self.timeline.facts["ticks"] += self.timeline.now // TICK
        return self.timeline.facts


def settling(swarm: Swarm) -> int:
    """How long after the faults a late message or an old wish for a transfer may still disturb."""
    latest = swarm.delay_units + swarm.delay_spread_units
    slowest = latest * 10 if swarm.straggler else latest
    return slowest + swarm.config.transfer_ticks_max * TICK
