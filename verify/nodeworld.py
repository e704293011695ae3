"""One simulated world of whole nodes and their clerks, drawn from one seed and nothing else."""

from collections import Counter
from random import Random

from verify.clerks import Clerks
from verify.nodehealing import NodeHealing
from verify.nodenemesis import NodeNemesis
from verify.nodes import Nodes
from verify.nodeswarm import draw_nodes
from verify.timeline import Timeline
from verify.transcript import TICK, Transcript
from verify.world import settling


class NodeWorld:
    """Nodes, the clerks that use them, and their nemesis."""

    def __init__(self, seed: int, transcript: Transcript) -> None:
        random = Random(seed)
        self.seed = seed
        self.swarm, self.plan = draw_nodes(random)
        self.timeline = Timeline(random, self.swarm, transcript)
        self.timeline.note(0, "the world is", self.swarm)
        self.timeline.note(0, "its nodes and clerks are", self.plan)
        keys = [b"key%d" % number for number in range(self.plan.keys)]
        self.cluster = Nodes(self.timeline, self.plan, keys)
        self.clerks = Clerks(self.cluster.ground, self.cluster.calls, keys)
        self.nemesis = NodeNemesis(self.cluster, self.clerks)
        settling_units = settling(self.swarm)
        self.healing = NodeHealing(self.cluster, self.clerks, keys, settling_units)

    def run(self) -> Counter[str]:
        """Let faults strike, let them end, and count what happened; a broken law raises."""
        self.clerks.start()
        self.nemesis.start()
        self.timeline.run(self.swarm.fault_ticks * TICK)
        self.nemesis.stop()
        self.clerks.stop()
        self.cluster.heal()
        self.healing.run()
        self.timeline.facts["ticks"] += self.timeline.now // TICK
        return self.timeline.facts
