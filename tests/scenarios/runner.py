"""Reads a transcript, carries out its commands, and says what the cluster answered to each block.

The commands are the methods do_x of Runner; docs/scenarios.md has a line for each.
"""

from collections.abc import Callable
from functools import partial
from itertools import takewhile
from typing import Any

from messages.raft import HardState, InstallSnapshot, Membership, Message
from raft import core
from raft.election import campaign
from raft.state import Config, Proposed, Raft, Refusal
from tests.scenarios import arithmetic, choice, wording
from tests.scenarios.cluster import DAMAGE, Cluster, Server, born

RULE = "----"


def answered(transcript: str) -> str:
    """The same comments and commands, with the answers that the cluster gives now."""
    runner = Runner()
    blocks = [block.splitlines() for block in transcript.strip().split("\n\n")]
    return "\n\n".join("\n".join(_answered(runner, block)) for block in blocks) + "\n"


def _answered(runner: "Runner", block: list[str]) -> list[str]:
    asked = list(takewhile(lambda line: line != RULE, block))
    commands = [line for line in asked if not line.startswith("#")]
    if not commands:
        return asked  # prose
    answer = [line for command in commands for line in runner.run(command)]
    return [*asked, RULE, *(answer or ["nothing to see"])]


class Runner:
    """One cluster and what a transcript does to it."""

    def __init__(self) -> None:
        self.cluster = Cluster(Config(), 1)
        self.founders = Membership()

    def run(self, command: str) -> list[str]:
        """Carry out one command and take what happened."""
        verb, *words = command.split()
        if verb == "quietly":
            self.run(" ".join(words))
            return []
        if verb in arithmetic.COMMANDS:
            return [arithmetic.COMMANDS[verb](words)]
        act: Callable[..., None] = getattr(self, "do_" + verb.replace("-", "_"))
        act(*words)
        lines = list(self.cluster.lines)
        self.cluster.lines.clear()
        return lines

    # Who there is.

    def do_cluster(self, count: str, *words: str) -> None:
        """Servers with empty logs; options: learners, chunk (bytes), and those of Config."""
        options = arithmetic.options(words)
        learners, chunk = arithmetic.ids(options.pop("learners", "")), options.pop("chunk", "4")
        numbers: dict[str, Any] = {name: _value(text) for name, text in options.items()}
        self.cluster = Cluster(Config()._replace(**numbers), int(chunk))
        self.founders = Membership(tuple(range(1, int(count) + 1)), (), learners)
        for number in (*self.founders.voters, *learners):
            self.cluster.place(number, born(self.founders))

    def do_given(self, server: str, *words: str) -> None:
        """The server starts with a log of these terms, and this term, vote and commit."""
        options = arithmetic.options(words)
        terms, commit = arithmetic.ids(options.get("log", "")), int(options.get("commit", "0"))
        term = int(options.get("term", max(terms, default=0)))
        hard_state = HardState(term, int(options.get("vote", "0")), commit)
        saved = born(self.founders, terms)._replace(hard_state=hard_state)
        self.cluster.place(_number(server), saved)

    def do_join(self, server: str) -> None:
        """A new server that knows nobody."""
        self.cluster.place(_number(server), born(Membership()))

    def do_crash(self, server: str) -> None:
        """What was not durable is gone; what it sent is still on its way."""
        self.cluster.crash(_number(server))

    def do_restart(self, server: str) -> None:
        """It starts from its disk."""
        self.cluster.start(_number(server))

    # Time, network, disk.

    def do_tick(self, server: str, count: str = "1") -> None:
        """Ticks pass, one by one."""
        for _ in range(int(count)):
            self._tell(server, core.tick)

    def do_timeout(self, server: str) -> None:
        """Ticks pass until its election timeout is over."""
        raft = self._server(server).running
        for _ in range(raft.election_timeout - raft.election_elapsed):
            self._tell(server, core.tick)

    def do_deliver(self, *words: str) -> None:
        """What is on its way arrives."""
        self.cluster.deliver(self._take(words), together="together" in words)

    def do_repeat(self, *words: str) -> None:
        """It arrives and is still on its way."""
        kept = list(self.cluster.flight)
        chosen = self._take(words)
        self.cluster.flight = kept
        self.cluster.deliver(chosen)

    def do_drop(self, *words: str) -> None:
        """It never arrives."""
        for message in self._take(words):
            self._say(f"S{message.source} -x S{message.target} {wording.of_message(message)}")

    def do_damage(self, *words: str) -> None:
        """The first byte of these snapshot chunks is not what it was."""
        for message in self._take(words):
            assert isinstance(message, InstallSnapshot)
            self.cluster.flight.append(message._replace(data=DAMAGE + message.data[1:]))

    def do_stabilize(self, *servers: str) -> None:
        """All, or these servers, speak until they have no more to say to each other."""
        self.cluster.stabilize(set(map(_number, servers)) or set(self.cluster.servers))

    def do_cut(self, *links: str) -> None:
        """Nothing gets through any more, from now on."""
        self.cluster.cuts |= self._links(links)

    def do_heal(self, *links: str) -> None:
        """It gets through again."""
        self.cluster.cuts -= self._links(links or ("*->*",))

    def do_disk(self, server: str, what: str) -> None:
        """Hold: writes stay under way; write: the one under way is done; free: and all later."""
        found = self._server(server)
        if what == "hold":
            found.disk_held = True
            return
        found.disk_held = what != "free"
        self._say(f"{server} has written")
        self.cluster.finish_write(found)
        self.cluster.work(found.number)

    def do_apply(self, server: str, what: str) -> None:
        """Hold: what is committed waits; free: it is applied, also from now on."""
        found = self._server(server)
        found.apply_held = what == "hold"
        if not found.apply_held:
            self.cluster.apply(found)
            self.cluster.work(found.number)

    # What a server is asked to do.

    def do_campaign(self, server: str) -> None:
        """It stands for election now."""
        self._tell(server, campaign)

    def do_propose(self, server: str, *names: str) -> None:
        """Commands for the log."""
        payloads = [name.encode() for name in names]
        self._tell(server, lambda raft: core.propose(raft, payloads))

    def do_change(self, server: str, *words: str) -> None:
        """A membership change: actions, each before its server."""
        changes = arithmetic.changes(words)
        self._tell(server, lambda raft: core.propose_membership(raft, changes))

    def do_read(self, server: str, *words: str) -> None:
        """Reads under these contexts, all in one turn; the last word may be lease."""
        lease = "lease" in words
        for context in map(int, (word for word in words if word != "lease")):
            self._ask(server, partial(core.read, context=context, lease=lease))
        self.cluster.work(_number(server))

    def do_transfer(self, server: str, target: str) -> None:
        """It shall hand leadership to the target."""
        self._tell(server, lambda raft: core.transfer_leader(raft, _number(target)))

    def do_forget(self, server: str) -> None:
        """It is told that its leader is gone."""
        self._tell(server, core.forget_leader)

    def do_save(self, server: str) -> None:
        """Its state becomes durable as it stands; the log may be cut."""
        self.cluster.save(self._server(server))
        self.cluster.work(_number(server))

    def do_unreachable(self, server: str, peer: str) -> None:
        """Its driver lost the connection to peer."""
        self._tell(server, lambda raft: core.unreachable(raft, _number(peer)))

    def do_fail_snapshot(self, server: str, peer: str) -> None:
        """Its driver cannot read the snapshot for peer any more."""
        self._tell(server, lambda raft: core.snapshot_failed(raft, _number(peer)))

    # What there is to see.

    def do_status(self, *servers: str) -> None:
        """Role, vote and marks of all that run, or of these."""
        for found in self._chosen(servers):
            self._say(f"S{found.number} {wording.of_status(found.running)}")

    def do_log(self, *servers: str) -> None:
        """What their logs hold."""
        for found in self._chosen(servers):
            self._say(f"S{found.number} {wording.of_log(found.running.log)}")

    def do_state(self, *servers: str) -> None:
        """Which commands they have applied."""
        for found in self._chosen(servers):
            self._say(f"S{found.number} [{' '.join(found.state)}]")

    def do_members(self, *servers: str) -> None:
        """The membership in force at each."""
        for found in self._chosen(servers):
            self._say(f"S{found.number} {wording.of_membership(found.running.membership)}")

    def do_progress(self, server: str) -> None:
        """What a leader knows of the others."""
        for peer, progress in self._server(server).running.progress.items():
            if peer != _number(server):
                self._say(f"{server} sees S{peer}: {wording.of_progress(progress)}")

    def do_flight(self) -> None:
        """What is on its way."""
        for message in self.cluster.flight:
            self._say(f"S{message.source} -> S{message.target} {wording.of_message(message)}")

    def _ask(self, server: str, wish: Callable[[Raft], Proposed | Refusal | None]) -> None:
        outcome = wish(self._server(server).running)
        if isinstance(outcome, Refusal):
            self._say(f"{server} refuses: {outcome.value}")
        elif outcome:
            self._say(f"{server} takes {outcome.first_index}..{outcome.last_index}")

    def _tell(self, server: str, wish: Callable[[Raft], Proposed | Refusal | None]) -> None:
        self._ask(server, wish)
        self.cluster.work(_number(server))

    def _server(self, name: str) -> Server:
        return self.cluster.servers[_number(name)]

    def _chosen(self, names: tuple[str, ...]) -> list[Server]:
        running = [server for server in self.cluster.servers.values() if server.raft]
        return [self._server(name) for name in names] or running

    def _links(self, words: tuple[str, ...]) -> set[tuple[int, int]]:
        return choice.links(words, self.cluster.servers)

    def _take(self, words: tuple[str, ...]) -> list[Message]:
        """Off the network; two messages may be equal, so each is known by its identity."""
        chosen = choice.messages(words, self.cluster.flight)
        taken = set(map(id, chosen))
        self.cluster.flight = [m for m in self.cluster.flight if id(m) not in taken]
        return chosen

    def _say(self, line: str) -> None:
        self.cluster.lines.append(line)


def _number(name: str) -> int:
    assert name.startswith("S"), f"{name} is no server"
    return int(name[1:])


def _value(text: str) -> bool | int:
    return {"yes": True, "no": False}[text] if text in ("yes", "no") else int(text)
