"""The faults of whole nodes and of their clerks, beside those that strike every world."""

from typing import cast

from messages.client import AskStatus
from messages.clientcodec import encode
from verify.clerks import Clerk, Clerks
from verify.cluster import Cluster
from verify.nemesis import Nemesis
from verify.nodes import Nodes
from verify.nodewriters import NodeDisk
from verify.server import Server


class NodeNemesis(Nemesis):
    """Strikes nodes, their disks, their clerks, and the lines between them."""

    def __init__(self, nodes: Nodes, clerks: Clerks) -> None:
        super().__init__(cast("Cluster", nodes))  # what a nemesis does with one it can do with both
        self._nodes = nodes
        self._clerks = clerks
        self._strikes |= {
            "stall_disk": self._stall_node_disk,
            "disk_full": self._disk_full,
            "handover": self._handover,
            "cut_clerk": self._cut_clerk,
            "pause_clerk": self._pause_clerk,
            "restart_clerk": self._restart_clerk,
            "status": self._status,
        }

    def _stall_node_disk(self) -> None:
        """It writes nothing for a while."""
        victim = self._nodes.pick(leader=self._random.random() < 0.4)
        self._timeline.note(victim.number, "its disk stalls")
        victim.disk.stalled_until = self._timeline.now + self._some_time()

    def _disk_full(self) -> None:
        """It has room again later, whether its node lived through it or not."""
        number = self._nodes.pick(leader=self._random.random() < 0.5).number
        disk = self._nodes.disks[number]
        disk.is_full = True
        self._timeline.note(number, "its disk is full")
        self._timeline.after(self._some_time(), self._empty, disk)

    def _empty(self, disk: NodeDisk) -> None:
        disk.is_full = False

    def _hand_over(self, victim: Server) -> None:
        """It wishes another to lead, and will not hear what comes of it."""
        target = self._random.choice(sorted(self._nodes.disks))
        self._nodes.servers[victim.server_id].hand_over(target)

    def _handover(self) -> None:
        """A node is about to stop, or an operator wishes another leader."""
        target = self._random.choice((0, *self._nodes.disks))
        self._nodes.pick(leader=True).hand_over(target)

    def _cut_clerk(self) -> None:
        """One clerk loses one node, or all of them."""
        clerk = self._clerks.pick().number
        nodes = [self._random.choice(list(self._nodes.disks))]
        if self._random.random() < 0.3:
            nodes = list(self._nodes.disks)
        for node in nodes:
            self._nodes.wires.cut((clerk, node))
            self._timeline.after(self._some_time(), self._nodes.wires.mend, (clerk, node))

    def _pause_clerk(self) -> None:
        clerk = self._clerks.pick()
        clerk.pause()
        self._timeline.after(self._some_time(), self._resume_clerk, clerk)

    def _resume_clerk(self, clerk: Clerk) -> None:
        clerk.resume()

    def _restart_clerk(self) -> None:
        self._clerks.pick().restart(in_order=self._random.random() < 0.3)

    def _status(self) -> None:
        """Somebody looks at a node; the answer goes to a clerk that drops it."""
        client = self._clerks.pick().name.encode()
        self._nodes.pick().on_client(client, encode(AskStatus(1)))
