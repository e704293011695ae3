"""One node: opens its disk, starts its actors, and ends as soon as one of them does (O5)."""

import os
import queue
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing, nullcontext
from functools import partial
from pathlib import Path

import zmq

from actors.actor import Actor, Brain
from actors.awake import Awake
from actors.config import Config, NodeAddress, raft_config
from actors.kvserver import KVServerActor
from actors.log import Log
from actors.logwriter import GROUP, LogWriterActor
from actors.peers import Peers
from actors.quickwrites import QuickWrites
from actors.raft import RaftActor
from actors.seat import LOOK_S, Seat
from actors.sockets import Context, PortRefused
from actors.statewriter import StateWriterActor
from actors.zap import ZapActor
from kv.about import About, Limits
from kv.keeper import FlushAt, Keeper, load_machine
from kv.machine import Machine
from kv.server import Server
from messages.raft import HardState, Membership, Snapshot
from raft.core import start
from raft.driver import Driver
from raft.state import Saved
from storage.boot import load_saved
from storage.environment import RESERVE, DiskFull, Identity, Opened, StorageRefused, open_node
from storage.log import LogStore
from storage.reserve import Reserve
from storage.state import StateStore

CLEAN, FAILED, REFUSED = 0, 1, 2
"""Exit codes: stopped when asked to; an actor or the disk failed; could not start."""

KVSERVER_TICK_S = 0.05
"""What it does about time can wait for so long, and each look wakes a thread."""

SWITCH_INTERVAL_S = 0.0005
"""How long a busy thread keeps the others waiting: at Python's 5 ms a 93 us round trip takes 5."""


def run(config: Config, name: str, data: Path) -> int:
    """Run one node in the foreground until it is told to stop; returns its exit code."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    log = Log(name, config.log_level, config.log_format)
    address = config.node(name)
    try:
        opened = open_node(data / name, Identity(config.cluster, address.node_id))
        node = Node(config, address, opened, log)
    except DiskFull as error:
        log.event("disk_full", "error", reason=error)
        return FAILED  # and it is tried again: there may be space then
    except StorageRefused as error:
        log.event("refused", "error", reason=error)
        return REFUSED
    return node.run()


class Node:
    """The actors of one node, and who notices that one of them ended."""

    def __init__(self, config: Config, address: NodeAddress, opened: Opened, log: Log) -> None:
        """Read what the disk holds; StorageRefused if it cannot be used."""
        self._config = config
        self._address = address
        self._opened = opened
        self._log = log
        self._context: Context = zmq.Context(io_threads=1)
        self._events: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._state = StateStore(opened.state, config.disk_reserve_bytes // 2)
        self._saved = self._load()

    def run(self) -> int:
        """Start the actors, wait until one ends or somebody asks to stop, stop them all."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._events.put("signal"))
        actors = [
            Actor(name, make, tick_s, self._events.put) for name, make, tick_s in self._parts()
        ]
        self._tell_start()
        for actor in actors:
            actor.start()
        ended = self._wait(actors)
        self._log.event("stopping", because=ended)
        stop_s = self._config.stop_timeout_ms / 1000
        stopped = [actor.stop(stop_s) for actor in reversed(actors)]
        code = self._exit_code(actors)
        if not all(stopped):
            os._exit(code or FAILED)  # a thread that hangs must not keep a dead node alive
        self._context.destroy(linger=0)
        self._state.close()
        self._opened.close()
        if code == CLEAN:
            self._log.event("stopped")
        return code

    def _wait(self, actors: list[Actor]) -> str:
        """Until an actor ended, or somebody asks to stop: which it was."""
        seat = Seat(self._address.node_id) if self._config.one_core_while_quiet else None
        awake = Awake(os.cpu_count() or 1) if self._config.keep_cores_awake else None
        has_choice = bool((seat and seat.is_choice) or (awake and awake.is_choice))
        with closing(awake) if awake else nullcontext():
            while (ended := self._ended(LOOK_S if has_choice else None)) is None:
                looked_out_s = sum(actor.vigil.awake_s for actor in actors)
                if awake:
                    awake.look(looked_out_s)
                if seat and seat.is_choice:
                    seat.look(looked_out_s)
                    for actor in actors:
                        actor.is_quiet = seat.core is not None
        return ended

    def _ended(self, within_s: float | None) -> str | None:
        """Which actor ended, or who asked to stop; None if nobody did for so long."""
        try:
            return self._events.get(timeout=within_s)
        except queue.Empty:
            return None

    def _tell_start(self) -> None:
        _, base, entries, applied = self._saved
        self._log.event(
            "starting",
            client=self._address.client,
            peer=self._address.peer,
            data=Path(self._opened.log.path()).parent,
            pid=os.getpid(),
            applied=applied,
            last=base.last_included_index + len(entries),
        )

    def _exit_code(self, actors: list[Actor]) -> int:
        """Tell what failed; where both ports are refused, one sentence is enough, and the last."""
        failures = {actor.name: actor.failure for actor in actors if actor.failure is not None}
        refusals = [found for found in failures.values() if isinstance(found, PortRefused)]
        for name, failure in failures.items():
            if failure not in refusals:
                trace = "".join(traceback.format_exception(failure))
                self._log.event("actor_failed", "error", actor=name, trace=trace)
        if refusals:
            self._log.event("refused", "error", reason=refusals[0])
            return REFUSED
        return FAILED if failures else CLEAN

    def _load(self) -> Saved:
        """What to start from; a new member remembers its first membership for good (D12)."""
        store = LogStore(self._opened.log, self._config.disk_reserve_bytes)
        saved = Saved(*load_saved(store, self._state, GROUP))
        if saved.base != Snapshot(0, 0, Membership()) or saved.hard_state != HardState(0, 0, 0):
            return saved
        voters = tuple(sorted(node.node_id for node in self._config.nodes))
        base = Snapshot(0, 0, Membership(voters))
        store.reset(GROUP, saved.hard_state, base)
        return saved._replace(base=base)

    def _parts(self) -> list[tuple[str, Callable[[], Brain], float]]:
        """The actors in the order they start: each finds those that it speaks to."""
        tick_s = self._config.tick_ms / 1000
        # What was let in before the reserve was touched still finds the half that is held: a write
        # that waits for space keeps the votes behind it waiting (O1). They have the last quarter.
        reserve_bytes = self._config.disk_reserve_bytes
        store = LogStore(self._opened.log, reserve_bytes // 4)
        reserve = Reserve(Path(self._opened.log.path()) / RESERVE, reserve_bytes)
        clock = time.monotonic
        return [
            ("zap", partial(ZapActor, self._context), 0.1),
            (
                "logwriter",
                partial(LogWriterActor, self._context, store, reserve, clock, self._log),
                0.1,
            ),
            (
                "statewriter",
                partial(StateWriterActor, self._context, self._state, clock, self._log),
                0.1,
            ),
            ("raft", partial(self._raft, store), tick_s),
            ("kvserver", self._kvserver, max(KVSERVER_TICK_S, tick_s)),
        ]

    def _raft(self, store: LogStore) -> RaftActor:
        config, address = self._config, self._address
        raft = start(
            GROUP, address.node_id, raft_config(config), random.SystemRandom(), self._saved
        )
        others = {
            node.node_id: node.peer for node in config.nodes if node.node_id != address.node_id
        }
        bind = (address.host, address.peer_port)
        peers = Peers(self._context, config.cluster, address.node_id, bind, others)
        quick_writes = QuickWrites(GROUP, store, time.monotonic_ns)
        return RaftActor(
            self._context, Driver(raft), peers, quick_writes, config.tick_ms, self._log
        )

    def _kvserver(self) -> KVServerActor:
        config, address = self._config, self._address
        endpoints = {node.node_id: node.client for node in config.nodes}
        about = About(config.cluster, address.node_id, address.name, os.getpid(), endpoints)
        limits = Limits(
            config.key_bytes_max,
            config.value_bytes_max,
            config.pending_bytes_max,
            config.client_inflight_max,
            config.reads_max,
        )
        load = partial(load_machine, Machine, self._state, self._saved.base)
        server = Server(about, limits, load(), self._saved.hard_state.commit_index)
        flush_at = FlushAt(config.flush_bytes, config.flush_keys, config.flush_ms / 1000)
        return KVServerActor(
            self._context,
            Keeper(server, self._state, load, flush_at, time.monotonic()),
            (address.host, address.client_port),
            config.transfer_timeout_ms / 1000,
            self._log,
        )
