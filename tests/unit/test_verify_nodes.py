"""The simulated world of whole nodes: it sees broken brains and disks, and a seed replays."""

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from kv.machine import Machine
from kv.outcomes import Failed, Ok, Why
from kv.readqueue import ReadQueue
from messages.client import APPEND, PUT, Operation
from raft.driver import Driver
from verify import nodeswarm, nodeworld, simulate
from verify.calls import Calls
from verify.linearizable import Kind
from verify.nodestore import StateDisk, Store
from verify.nodeworld import NodeWorld
from verify.transcript import Transcript

ROOT = Path(__file__).parent.parent.parent
SEEDS_MAX = 100


def test_a_world_sees_a_session_that_forgets(monkeypatch):
    """Whatever is sent again would be executed again."""

    def write_again(machine, request):
        session = machine.sessions.use(request.session)
        if session is None:
            return write(machine, request)
        session.last_sequence = min(session.last_sequence, request.first_sequence - 1)
        return write(machine, request)

    write = Machine._write
    monkeypatch.setattr(Machine, "_write", write_again)

    assert "exactly once" in first_failure()


def test_a_world_sees_reads_that_do_not_wait(monkeypatch):
    """R4: a read answered before the state has come to its index may be an old one.

    Clerks that only read stay with followers; where there are few of them this is hardly ever seen.
    """
    monkeypatch.setattr(nodeworld, "draw_nodes", many_readers)
    answerable = ReadQueue.answerable
    monkeypatch.setattr(ReadQueue, "answerable", lambda reads, _: answerable(reads, 2**63))

    failure = first_failure()
    assert any(law in failure for law in ("was told of", "linearizab", "R3: answers as of"))


def test_a_world_sees_what_is_told_too_early(monkeypatch):
    """D1, D2: messages that wait for the disk must not leave before it has written."""

    def turn_too_early(driver):
        done = turn(driver)
        if driver._write is not None:
            done.to_peers.extend(driver._write.messages)
        return done

    turn = Driver.turn
    monkeypatch.setattr(Driver, "turn", turn_too_early)

    failure = first_failure()
    assert "D1" in failure or "D2" in failure


def test_a_world_sees_a_lost_flush(monkeypatch):
    """A state that says it is durable, and is not, is another state after a restart."""

    def forget(store):
        durable, frozen = store._disk.durable, store._frozen
        flush(store)
        if frozen is not None and store._disk.durable is not durable:
            store._disk.durable = store._disk.durable._replace(values=durable.values)

    flush = Store.flush
    monkeypatch.setattr(Store, "flush", forget)

    assert "state:" in first_failure()


def test_the_world_holds_as_it_is(capsys):
    """The command, and its words when all is well."""
    code = simulate.main(["--nodes", "--seeds", "2", "--jobs", "1"])

    words = capsys.readouterr().out
    assert code == 0
    assert "2 seeds held every law" in words
    assert "calls: ok" in words


def test_a_seed_is_one_world_of_nodes():
    """The same transcript, whatever Python's hash seed is."""
    assert len({replayed(seed=5, hash_seed=each) for each in "017"}) == 1


def test_a_failed_write_must_never_be_executed():
    """C1: not then and not later."""
    calls = Calls(Counter(), repeats=False)
    call = calls.begin("C1.1", Kind.PUT, b"key", b"one", stale=False)
    calls.settle(call, Failed(Why.UNAVAILABLE))

    with pytest.raises(AssertionError, match="it failed"):
        calls.on_executed(Operation(PUT, b"key", b"one"))


def test_a_clerks_writes_are_executed_in_its_order():
    """Whatever the keys are."""
    calls = Calls(Counter(), repeats=False)
    calls.begin("C1.1", Kind.PUT, b"one", b"1", stale=False)
    calls.begin("C1.1", Kind.APPEND, b"other", b"2", stale=False)
    calls.on_executed(Operation(APPEND, b"other", b"2"))

    with pytest.raises(AssertionError, match="order"):
        calls.on_executed(Operation(PUT, b"one", b"1"))


def test_a_write_that_is_done_was_executed():
    """Ok means that the log has it."""
    calls = Calls(Counter(), repeats=False)
    call = calls.begin("C1.1", Kind.PUT, b"key", b"1", stale=False)

    with pytest.raises(AssertionError, match="nobody executed it"):
        calls.settle(call, Ok(None))


def test_a_crash_between_flush_and_release_loses_nothing():
    """What was flushed is found by the next life, whether or not this one noticed."""
    disk = StateDisk()
    store = Store(disk)
    store.put(b"key", b"value")
    store.freeze(b"meta", disk.durable.snapshot._replace(last_included_index=7))
    store.flush()

    assert store.applied_index == 0
    assert Store(disk).get(b"key") == b"value"
    assert Store(disk).applied_index == 7


def many_readers(random):
    """Worlds with much to read, and what was written before it."""
    swarm, plan = nodeswarm.draw_nodes(random)
    plan = plan._replace(clerks=4, readers=0.5, wish_ticks=1, burst_max=1, deadlines_s=(5.0,))
    plan = plan._replace(calls_max=300, hop_units=1, pending_bytes_max=10**6)
    return swarm._replace(voters=3), plan


def first_failure():
    """What the first world that fails says."""
    for seed in range(SEEDS_MAX):
        outcome = simulate.run_seed(seed, Transcript(), NodeWorld)
        if outcome.failure:
            return outcome.failure
    return ""


def replayed(seed, hash_seed):
    """The digest of one seed's transcript, in a process with this hash seed."""
    command = [sys.executable, "-m", "verify.simulate", "--nodes", f"--seed={seed}"]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()[-1]
