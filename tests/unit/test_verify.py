"""The simulated world: it sees a broken core, a seed replays, and faults really happen."""

import os
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from messages.raft import (
    COMMAND,
    Entry,
    HardState,
    HeartbeatReply,
    InstallSnapshot,
    Membership,
    Snapshot,
)
from raft import election, membership
from raft.core import Action, Change
from raft.state import Committed, ReadState, Ready, Saved, Write, match_indexes
from verify import fuse, machine, simulate
from verify.disk import Disk
from verify.machine import State
from verify.outgoing import Outgoing
from verify.swarm import calmed, draw
from verify.transcript import Transcript, describe
from verify.world import World

ROOT = Path(__file__).parent.parent.parent
TRIO = Membership((1, 2, 3))


def test_a_world_sees_a_majority_that_is_none(monkeypatch):
    """A core that commits what one server holds does not get through a few worlds."""
    monkeypatch.setattr(membership, "quorum_index", lambda raft: max(match_indexes(raft).values()))

    assert "not durable on a majority" in first_failure()


def test_a_world_sees_that_nobody_leads(monkeypatch):
    """Liveness: after all faults there must be a leader in time."""
    monkeypatch.setattr(election, "campaign", lambda _, **__: None)

    assert "liveness: no leader" in first_failure()


def test_a_world_sees_an_exception(monkeypatch):
    """Whatever a core raises is a finding, an assertion of its own or not."""
    monkeypatch.setattr(election, "on_tick", raise_key_error)

    assert "breaks a law: KeyError(1)" in first_failure()


def test_a_failure_says_how_to_see_it_again(monkeypatch, capsys):
    """The last words: servers, law, place and the command; the exit code is one."""
    monkeypatch.setattr(election, "on_tick", raise_key_error)

    code = simulate.main(["--seeds", "3", "--from", "11", "--jobs", "1"])

    words = capsys.readouterr().out
    assert code == 1
    assert words.endswith("replay: python -m verify.simulate --seed 11\n")
    assert "S1 follower in term 0" in words


def test_a_run_that_holds_every_law_says_what_happened(capsys):
    """Zero, and the facts of all its worlds."""
    code = simulate.main(["--seeds", "2", "--jobs", "1"])

    words = capsys.readouterr().out
    assert code == 0
    assert "2 seeds held every law" in words
    assert re.search(r"^ +[\d,]+ messages$", words, re.MULTILINE)


def test_minutes_end_a_run(capsys):
    """No batch begins after the time is over."""
    code = simulate.main(["--minutes", "0", "--jobs", "1"])

    assert code == 0
    assert "0 seeds held every law" in capsys.readouterr().out


def test_a_trace_shows_every_event(capsys):
    """From the drawn world to the last answer."""
    code = simulate.main(["--seed", "1", "--trace"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert "the world is Swarm(" in lines[0]
    assert any(re.fullmatch(r" +\d+\.\d{3}   S\d  is now SoftState\(.*\)", line) for line in lines)


def test_a_seed_is_one_world():
    """The same seed gives the same transcript, whatever Python's hash seed is."""
    assert len({replayed(seed=5, hash_seed=each) for each in "017"}) == 1
    assert replayed(seed=5, hash_seed="0") != replayed(seed=6, hash_seed="0")


def test_faults_and_wishes_really_happen():
    """In a hundred worlds everything that the laws judge takes place."""
    # A process of its own: coverage would make these worlds several times slower.
    words = simulated("--seeds=100")
    facts = {name: int(number.replace(",", "")) for number, name in FACT.findall(words)}

    missing = [name for name in WANTED if not facts.get(name)]
    assert missing == []


FACT = re.compile(r"^ *([\d,]+) (.+)$", re.MULTILINE)
WANTED = [
    *("messages", "lost messages", "repeated messages", "corrupted chunks"),
    *("leaders", "leaders that left office", "transfers won", "conflicting entries"),
    *("crashes", "logs cut", "snapshots installed", "snapshots refused", "snapshots given up"),
    *("memberships", "promotions", "demotions", "joint memberships", "joint memberships left"),
    *("reads answered", "reads given up", "reads under a lease", "installs cut off"),
    *("refused: too much is waiting already", "refused: leadership is being handed over"),
    *("refused: the learner has not caught up yet", "refused: not the leader"),
    *("refused: another membership change is not committed yet",),
    *(f"strikes: {kind}" for kind in ("crash", "crash_all", "pause", "partition", "clock")),
    *(f"strikes: {kind}" for kind in ("cut_link", "cut_one_way", "isolate_leader")),
    *(f"strikes: {kind}" for kind in ("stall_disk", "abort_snapshot", "unreachable")),
]


def test_a_crash_keeps_a_transaction_or_nothing():
    """What a write holds is on the disk as a whole; an install has two steps, state and log."""
    disk = Disk(Snapshot(0, 0, TRIO))
    disk.entries.append(Entry(1, COMMAND, b"one"))

    disk.install(Snapshot(5, 3, TRIO), State(5, 50))
    found = disk.load()

    assert found == Saved(HardState(3, 0, 5), Snapshot(5, 3, TRIO), (), 5)


def test_a_fuse_cuts_duties_in_their_order():
    """What comes before the crash is done, the rest is not."""
    one, two = (HeartbeatReply(0, 1, target, 1, 1) for target in (2, 3))
    duties = Ready(
        None,
        messages=(one, two),
        write=Write(1, HardState(1, 1, 0), None, None, 1, (), ()),
        received=(InstallSnapshot(0, 1, 2, 1, 7, 1, TRIO, 0, b"", done=True),),
        wanted=(),
        committed=Committed(1, (Entry(1, COMMAND, b"one"),)),
        reads=(ReadState(1, 1),),
    )

    cut = [fuse.first_of(duties, count) for count in range(7)]

    assert [fuse.count_of(each) for each in cut] == list(range(7))
    assert cut[1].messages == (one,)
    assert cut[3].write is duties.write
    assert cut[4].committed is None
    assert cut[6] == duties


def test_a_snapshot_arrives_as_it_was_or_not_at_all():
    """Its chunks make up the state; one changed byte is noticed."""
    data = machine.as_bytes(State(7, 70), padding=5)

    assert machine.from_bytes(data) == State(7, 70)
    assert machine.from_bytes(data[:-1] + b"!") is None


def test_a_state_is_sent_as_it_was_pinned():
    """Chunks are cut from one state, the last one says so, and old states are given up."""
    outgoing = Outgoing()
    wanted = InstallSnapshot(0, 1, 2, 1, 7, 1, TRIO, 0, b"", done=False)
    outgoing.pin(State(7, 70), 0)
    size = len(machine.as_bytes(State(7, 70), 0))

    first = outgoing.filled(wanted, size - 1)
    last = outgoing.filled(wanted._replace(offset=size - 1), size)

    assert first is not None and last is not None
    assert (len(first.data), first.done, len(last.data), last.done) == (size - 1, False, 1, True)
    for index in range(20, 24):
        outgoing.pin(State(index, 0), 0)
    assert outgoing.filled(wanted, size) is None


def test_a_calm_world_has_no_faults():
    """Healing ends everything that was drawn to hurt."""
    hurt = [draw(Random(seed)) for seed in range(50)]

    calm = [calmed(swarm) for swarm in hurt]

    assert not any(each.loss or each.duplicate or each.corrupt or each.strikes for each in calm)
    assert [each.config for each in calm] == [each.config for each in hurt]


def test_every_world_draws_a_config_that_fits():
    """Config.check holds for every seed, and clocks keep to what leases allow."""
    for seed in range(200):
        swarm = draw(Random(seed))
        swarm.config.check()
        fastest, slowest = 100 + swarm.clock_percent, 100 - swarm.clock_percent
        within = fastest * 100 <= slowest * (100 + swarm.config.lease_drift_percent)
        assert within or not swarm.config.lease_reads


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        (None, ""),
        (b"abc", "3B"),
        (Change(Action.REMOVE, 3), "Change(action=Action.REMOVE server=3)"),
        (Membership((1, 2), (1,), removed=(4,)), "(v[1, 2] o[1] x[4])"),
        (HeartbeatReply(9, 1, 2, 3, 4), "HeartbeatReply(source=1 target=2 term=3 read_round=4)"),
        ([Entry(5, COMMAND, b"")], "[@5]"),
    ],
)
def test_a_transcript_puts_values_in_few_words(detail, words):
    """A line fits a reader's eye: entries by their term, bytes by their number."""
    assert describe(detail) == words


def raise_key_error(_):
    """A core with a bug that no assertion foresaw."""
    raise KeyError(1)


def first_failure():
    """What the first world that fails says."""
    for seed in range(20):
        outcome = simulate.run_seed(seed, Transcript())
        if outcome.failure:
            return outcome.failure
    return ""


def replayed(seed, hash_seed):
    """The digest of one seed's transcript, in a process with this hash seed."""
    return simulated(f"--seed={seed}", hash_seed).split()[-1]


def simulated(argument, hash_seed="0"):
    """What the command line prints."""
    command = [sys.executable, "-m", "verify.simulate", argument]
    environment = os.environ | {"PYTHONHASHSEED": hash_seed}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_world_is_drawn_from_its_seed_alone():
    """Two worlds of one seed are drawn alike."""
    one, other = (World(3, Transcript()) for _ in range(2))

    assert one.swarm == other.swarm
    assert one.cluster.disks.keys() == other.cluster.disks.keys()
