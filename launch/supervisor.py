"""Keeps the nodes of this machine running, and knows how the whole cluster is."""

import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from actors.config import Config, NodeAddress
from actors.orders import Order, OrderBox, Report
from actors.status import Answer, Board, Leadership, leadership
from launch.child import REFUSED_CODE, Child, Patience, State
from launch.logs import bound_log, log_of
from launch.view import NodeView, Screen, View, is_of

TURN_S = 0.1
ASK_S = 0.2
LOGS_S = 2.0
EVENTS_MAX = 200


ACTIONS: dict[str, Callable[[Child, float], str]] = {
    "start": Child.start,
    "stop": Child.stop,
    "restart": Child.restart,
    "kill": lambda child, _: child.kill(),
    "pause": lambda child, _: child.pause(),
    "resume": lambda child, _: child.resume(),
}
"""What `launcher.py VERB NODE` does to a node."""


class Goal(NamedTuple):
    """What `up --detach` waits for; told is called once, with the reason if it was not reached."""

    timeout_s: float
    told: Callable[[str], None]


class Supervisor:
    """Runs in one thread; its turns are short, so orders and signals are never late."""

    def __init__(
        self,
        config: Config,
        command: Callable[[str], Sequence[str]],
        endpoint: str,
        screen: Screen,
        goal: Goal | None,
    ) -> None:
        """Command gives the arguments that start a node of that name."""
        data = config.data_directory
        patience = Patience(
            config.stop_timeout_ms / 1000,
            config.restart_delay_ms_min / 1000,
            config.restart_delay_ms_max / 1000,
            config.restart_healthy_ms / 1000,
        )
        self.children = {
            node.name: Child(node.name, command(node.name), log_of(data, node.name), patience)
            for node in config.nodes
            if is_local(node.host)
        }
        self._config = config
        self._screen = screen
        self._goal = goal
        self._orders = OrderBox(endpoint)
        self._board = Board({node.name: node.client for node in config.nodes}, ASK_S)
        self._events: deque[str] = deque(maxlen=EVENTS_MAX)
        self._leadership = Leadership(None, 0)
        self._serves = False
        self._exit_code = 0
        self._stop_wishes = 0
        self._stops = 0
        self._logs_due_at = 0.0
        self._goal_due_at = time.monotonic() + (goal.timeout_s if goal else float("inf"))

    def run(self) -> int:
        """Until it was told to stop and all have stopped; the code to exit with."""
        try:
            for child in self.children.values():
                self._tell(child.start(time.monotonic()))
            while not self._stops or any(child.pid for child in self.children.values()):
                for order in self._orders.wait(TURN_S):
                    self._orders.answer(order, self._obey(order))
                self._turn(time.monotonic())
                self._screen.show(self.view())
        finally:
            for child in self.children.values():
                child.kill()  # whatever went wrong here, nobody is left behind
            self._orders.close()
            self._board.close()
        return self._exit_code

    def wish_stop(self) -> None:
        """Stop all, at once if wished again; may be called by a signal's handler."""
        self._stop_wishes += 1

    def view(self) -> View:
        """How it all stands."""
        nodes = tuple(self._node_view(node) for node in self._config.nodes)
        return View(self._config.cluster, self._leadership, nodes, tuple(self._events))

    def _turn(self, now: float) -> None:
        while self._stops < self._stop_wishes:
            self._stop(now)
        for child in self.children.values():
            self._tell(child.turn(now))
        self._board.turn()
        self._notice_leader()
        if not self._serves and not self._stops:
            self._strive(now)
        if now >= self._logs_due_at:
            self._logs_due_at = now + LOGS_S
            for name in (*self.children, "launcher"):
                log = log_of(self._config.data_directory, name)
                bound_log(log, self._config.log_file_bytes_max)

    def _stop(self, now: float) -> None:
        self._stops += 1
        self._tell("stopping" if self._stops == 1 else "killing what still runs")
        for child in self.children.values():
            if self._stops > 1:
                child.kill()
            elif child.state is not State.REFUSED:  # the last picture shows who did
                child.stop(now)

    def _obey(self, order: Order) -> Report:
        if order.verb == "down":
            self.wish_stop()
        elif order.verb != "report":
            child = self.children.get(order.node)
            if child is None or order.verb not in ACTIONS:
                return {"refusal": f"no {order.node} runs here that could {order.verb}"}
            if self._stops:
                return {"refusal": "the cluster is stopping"}
            if not child.can(order.verb):
                return {"refusal": f"{child.name} is {child.state.value}"}
            self._tell(ACTIONS[order.verb](child, time.monotonic()))
        return {"refusal": "", "nodes": {node.name: self._report(node) for node in self._local()}}

    def _report(self, node: NodeAddress) -> Report:
        child = self.children[node.name]
        return {
            "state": child.state.value,
            "pid": child.pid,
            "reason": child.reason,
            "answers": self._answer(node) is not None,
        }

    def _local(self) -> list[NodeAddress]:
        return [node for node in self._config.nodes if node.name in self.children]

    def _node_view(self, node: NodeAddress) -> NodeView:
        child, answer = self.children.get(node.name), self._answer(node)
        if child:
            return NodeView(node, child.state, child.pid, answer)
        return NodeView(node, None, answer.status.pid if answer else None, answer)

    def _answer(self, node: NodeAddress) -> Answer | None:
        """What the node says, unless it is another cluster's, or our node's of an earlier life."""
        answer, child = self._board.answer(node.name), self.children.get(node.name)
        if answer is None or not is_of(answer.status, self._config.cluster, node):
            return None
        return answer if child is None or child.pid == answer.status.pid else None

    def _notice_leader(self) -> None:
        """Elections happen between two looks: what is told is that they did, and how they went."""
        found = [answer.status for node in self._config.nodes if (answer := self._answer(node))]
        before, (leader, term) = self._leadership, leadership(found)
        self._leadership = Leadership(leader, max(term, before.term))
        if self._leadership == before or self._stops:
            return
        if leader:
            self._tell(f"{leader} became leader of term {term}")
        elif before.leader:
            self._tell(f"nobody leads, {before.leader} did")
        else:
            self._tell(f"term {term} begins, nobody leads yet")

    def _strive(self, now: float) -> None:
        """Serve at last, or find out why not."""
        if self._is_serving():
            self._serves = True
            self._tell(f"{self._config.cluster} is up")
            if self._goal:
                self._goal.told("")
        elif reason := self._hopeless():
            self._give_up(REFUSED_CODE, reason)
        elif now >= self._goal_due_at:
            states = ", ".join(f"{child.name} {child.state.value}" for child in self._every())
            self._give_up(1, f"no write was taken in time: {states}")

    def _is_serving(self) -> bool:
        """Whether the leader of a majority took a write, if a majority is ours to start at all."""
        answers = [answer.status for node in self._config.nodes if (answer := self._answer(node))]
        if len(self.children) < self._majority():
            return all(self._answer(node) for node in self._local())
        leader, term = self._leadership
        if leader is None:
            return False
        leader_id = self._config.node(leader).node_id
        followed = sum((status.leader, status.term) == (leader_id, term) for status in answers)
        return followed >= self._majority() and self._board.opens_session(leader)

    def _hopeless(self) -> str:
        """Why this cluster cannot serve however long one waits; empty if it can."""
        refused = [child for child in self._every() if child.state is State.REFUSED]
        able = len(self._config.nodes) - len(refused)
        if able >= self._majority() and len(refused) < len(self.children):
            return ""
        return "; ".join(f"{child.name} refused to start: {child.reason}" for child in refused)

    def _give_up(self, exit_code: int, reason: str) -> None:
        self._exit_code = exit_code
        self._tell(f"giving up: {reason}")
        if self._goal:
            self._goal.told(reason)
        self.wish_stop()

    def _every(self) -> list[Child]:
        return list(self.children.values())

    def _majority(self) -> int:
        return len(self._config.nodes) // 2 + 1

    def _tell(self, event: str) -> None:
        if event:
            self._events.append(f"{datetime.now(UTC):%H:%M:%S} {event}")
            self._screen.tell(event)


def is_local(host: str) -> bool:
    """Whether this machine has that address."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
