"""The driver's contract: what starts a server, what a message may change, what is proposed."""

from random import Random

import pytest

from messages.codec import ENTRY_BYTES_MAX
from messages.raft import (
    COMMAND,
    AppendEntries,
    AppendEntriesReply,
    HardState,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    Membership,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    Snapshot,
)
from raft import core
from raft.core import Action, Change
from raft.log import ENTRY_OVERHEAD_BYTES
from raft.progress import Sending
from raft.state import Config, Proposed, Refusal, Role, Saved
from tests.network import PAPER, Server, commands

TRIO = Membership((1, 2, 3))
MARK = Snapshot(4, 2, TRIO)


# What starts a server.


def test_a_server_remembers_what_its_disk_does():
    """Figure 2: term, vote and log are persistent; every server starts as a follower (§5.2)."""
    raft = start(HardState(7, 3, 5), MARK, (2, 3), last_applied=4)

    assert (raft.role, raft.current_term, raft.voted_for) == (Role.FOLLOWER, 7, 3)
    assert (raft.log.truncated_index, raft.log.stable_index, raft.log.last_index) == (4, 6, 6)
    assert (raft.commit_index, raft.last_applied, raft.membership) == (5, 4, TRIO)
    assert raft.hard_state_is_durable


def test_a_state_that_is_ahead_of_the_written_commit_is_believed():
    """D3: commit_index on disk is a hint and may be old; what was applied was committed."""
    raft = start(HardState(7, 0, 0), MARK, (2, 3), last_applied=6)

    assert (raft.commit_index, raft.handed_index, raft.saved_index) == (6, 6, 6)


@pytest.mark.parametrize(
    ("hard_state", "last_applied", "fault"),
    [
        (HardState(3, 0, 0), 3, "gap"),  # entry 4 is compacted, the state does not hold it
        (HardState(3, 0, 0), 7, "gap"),  # the state is ahead of the log
        (HardState(3, 0, 7), 4, "gap"),  # a committed entry is missing
        (HardState(2, 0, 0), 4, "future"),  # an entry of a term that this server never reached
    ],
)
def test_a_disk_that_contradicts_itself_stops_the_server(hard_state, last_applied, fault):
    """D10: going on would turn a lost file into lost data."""
    with pytest.raises(AssertionError, match=fault):
        start(hard_state, MARK, (2, 3), last_applied)


def test_two_lives_of_a_server_never_use_one_read_id():
    """R1: the answer to a question of the last life must not answer one of this life."""
    lives = [start(HardState(2, 0, 0), MARK, (), 4, seed) for seed in (1, 2)]

    assert lives[0].read_number != lives[1].read_number


# What a message may change.


@pytest.mark.parametrize("wrong", [{"group": 9}, {"target": 9}, {"source": 1}])
def test_a_message_that_is_not_for_us_or_from_us_changes_nothing(wrong):
    """D12: another group's, another server's, or by somebody who calls itself by our id."""
    follower = Server(1, term=1)

    follower.do(core.step, Heartbeat(0, 2, 1, 5, 0, 1)._replace(**wrong))

    assert (follower.raft.current_term, follower.raft.leader_id) == (1, 0)
    assert follower.sent(HeartbeatReply) == []


def test_nobody_else_says_what_our_own_disk_holds():
    """D2: the leader's own copy counts when it is durable, whoever claims it before."""
    leader = Server(1, voters=(1, 2)).lead()
    leader.disk_held = True
    leader.acknowledged(2)
    leader.do(core.propose, (b"x",))

    leader.hear(AppendEntriesReply, 1, success=True, match_index=2)
    leader.acknowledged(2)

    assert leader.raft.commit_index == 1


def test_an_answer_of_a_later_term_ends_a_leadership():
    """§5.1: a server that finds its term out of date becomes a follower at once."""
    leader = Server(1).lead()

    leader.hear(AppendEntriesReply, 2, term=9)

    assert (leader.raft.role, leader.raft.current_term) == (Role.FOLLOWER, 9)


def test_who_leads_or_campaigns_in_an_old_term_is_told():
    """§5.1: or a server that is ahead alone would never be taken back."""
    server = Server(1, term=5)
    for kind in (AppendEntries, Heartbeat):
        server.hear(kind, 2, term=4)
        (reply,) = server.sent(AppendEntriesReply)
        assert (reply.target, reply.term, reply.success) == (2, 5, False)

    server.hear(RequestVote, 2, term=4, last_log_index=9, last_log_term=4)
    assert [reply.vote_granted for reply in server.sent(RequestVoteReply)] == [False]
    server.hear(PreVote, 2, term=4, last_log_index=9, last_log_term=4)
    assert [reply.vote_granted for reply in server.sent(PreVoteReply)] == [False]


def test_a_late_answer_of_an_old_term_is_dropped():
    """§5.1: it was given to a leadership that is over, even if we lead again."""
    leader = Server(1, term=4).lead()

    leader.hear(AppendEntriesReply, 2, term=4, success=True, match_index=1)

    assert (leader.raft.role, leader.raft.commit_index, leader.said) == (Role.LEADER, 0, [])


def test_two_leaders_in_a_term_stop_the_server():
    """§5.2: election safety is broken; whoever goes on serves two histories."""
    leader = Server(1).lead()

    with pytest.raises(AssertionError, match="two leaders"):
        leader.hear(Heartbeat, 2)


def test_answers_from_outside_do_not_count():
    """§5.2: neither for who does not lead, nor from who does not take part."""
    follower = Server(1, log=(1,))
    follower.hear(AppendEntriesReply, 2, success=True, match_index=1)
    assert follower.raft.commit_index == 0

    leader = Server(1).lead()
    for stranger in (8, 9):
        leader.hear(AppendEntriesReply, stranger, success=True, match_index=1)
    assert (leader.raft.commit_index, set(leader.raft.progress)) == (0, {1, 2, 3})


# Who may disturb a group.


@pytest.mark.parametrize("kind", [RequestVote, PreVote])
def test_a_campaign_is_ignored_while_a_leader_is_heard(kind):
    """§6, M2: a server that was cut off does not depose a leader that works."""
    follower = Server(1, term=1, config=Config())
    follower.hear(Heartbeat, 2)
    follower.tick(Config().election_ticks_min - 1)

    follower.hear(kind, 3, term=9, last_log_index=9, last_log_term=9)
    assert follower.raft.current_term == 1

    follower.tick()
    follower.hear(kind, 3, term=9, last_log_index=9, last_log_term=9)
    assert follower.raft.current_term == 9


def test_a_leader_ignores_campaigns_until_it_doubts_itself():
    """M2: check_quorum ends its term when a majority is silent, nothing else does."""
    leader = Server(1, config=Config()).lead()
    leader.hear(RequestVote, 3, term=9, last_log_index=9, last_log_term=9)
    assert leader.raft.role is Role.LEADER

    trusting = Server(1, config=PAPER).lead()
    trusting.hear(RequestVote, 3, term=9, last_log_index=9, last_log_term=9)
    assert (trusting.raft.role, trusting.raft.voted_for) == (Role.FOLLOWER, 3)


def test_a_campaign_that_the_leader_wished_for_is_heard():
    """Thesis §4.2.3: it is no disturbance."""
    follower = Server(1, term=1, config=Config())
    follower.hear(Heartbeat, 2)

    follower.hear(RequestVote, 3, term=2, leadership_transfer=True)

    assert (follower.raft.current_term, follower.raft.voted_for) == (2, 3)


def test_a_removed_server_raises_no_term():
    """M7: it hears no leader, so it campaigns for ever; once that is committed nobody listens."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(core.propose_membership, [Change(Action.REMOVE, 3)])
    leader.acknowledged(2)

    leader.hear(RequestVote, 3, term=9, last_log_index=9, last_log_term=9, leadership_transfer=True)

    assert leader.raft.current_term == 1


# What is proposed.


def test_a_leader_says_where_proposals_will_be():
    """Figure 2: an index and a term name an entry, if it survives."""
    leader = Server(1, log=(1, 1)).lead()

    assert leader.do(core.propose, (b"a", b"b")) == Proposed(2, 4, 5)
    assert [entry.payload for entry in leader.raft.log.between(4, 5)] == [b"a", b"b"]
    assert leader.raft.log.entry_at(5).kind == COMMAND


def test_only_a_leader_takes_proposals():
    """§5.1: the driver knows who leads and sends clients there."""
    follower = Server(1)
    follower.hear(Heartbeat, 2, term=1)

    assert follower.do(core.propose, (b"x",)) is Refusal.NOT_LEADER


def test_proposals_wait_for_a_handover():
    """Thesis §3.10: they flow again when it is over (M9)."""
    leader = Server(1).lead().acknowledged(2)
    leader.do(core.transfer_leader, 3)
    assert leader.do(core.propose, (b"x",)) is Refusal.TRANSFERRING

    leader.tick(PAPER.transfer_ticks_max)
    assert isinstance(leader.do(core.propose, (b"x",)), Proposed)


def test_an_entry_that_nobody_could_decode_is_refused():
    """docs/wire.md, bounds: a leader that took it would send it in vain for ever."""
    leader = Server(1).lead()

    assert leader.do(core.propose, (b"x", bytes(ENTRY_BYTES_MAX + 1))) is Refusal.TOO_LARGE
    assert leader.terms() == (1,), "all or none"
    assert isinstance(leader.do(core.propose, (bytes(ENTRY_BYTES_MAX),)), Proposed)


def test_what_waits_for_a_commit_is_bounded():
    """O3: a leader without a majority refuses, rather than growing for ever."""
    bound = 2 * (10 + ENTRY_OVERHEAD_BYTES)
    leader = Server(1, config=PAPER._replace(unapplied_bytes_max=bound)).lead().acknowledged(2)
    ten = (bytes(10),)
    assert isinstance(leader.do(core.propose, ten), Proposed)
    assert isinstance(leader.do(core.propose, ten), Proposed)

    assert leader.do(core.propose, ten) is Refusal.OVERLOADED

    leader.acknowledged(2)
    assert isinstance(leader.do(core.propose, ten), Proposed)


def test_what_is_committed_but_not_applied_here_waits_too():
    """O3: a group that outruns its leader's disk, or its state machine, must not flood it."""
    leader = Server(1, config=PAPER._replace(unapplied_bytes_max=30)).lead().acknowledged(2, 3)
    leader.disk_held = True
    leader.do(core.propose, (bytes(10),))
    leader.acknowledged(2, 3)
    assert (leader.raft.commit_index, leader.raft.last_applied) == (2, 1)

    assert leader.do(core.propose, (bytes(10),)) is Refusal.OVERLOADED

    leader.finish_write()
    assert isinstance(leader.do(core.propose, (bytes(10),)), Proposed)


def test_proposals_are_refused_while_the_state_machine_lags():
    """O3: what is committed and not applied yet is in memory too, and cannot be compacted."""
    bound = 2 * (10 + ENTRY_OVERHEAD_BYTES)
    leader = Server(1, config=PAPER._replace(unapplied_bytes_max=bound)).lead().acknowledged(2)
    leader.disk_held = True  # and what it does not hold durably is not applied
    leader.do(core.propose, (bytes(10), bytes(10)))
    leader.acknowledged(2, 3)
    assert leader.raft.commit_index == leader.raft.log.last_index

    refused = leader.do(core.propose, (b"x",))
    leader.finish_write()

    assert refused is Refusal.OVERLOADED
    assert isinstance(leader.do(core.propose, (b"x",)), Proposed)


def test_one_batch_is_always_taken():
    """O3: whatever the bound, a group that keeps up makes progress."""
    leader = Server(1, config=PAPER._replace(unapplied_bytes_max=1)).lead().acknowledged(2)

    assert isinstance(leader.do(core.propose, (bytes(10), bytes(10))), Proposed)


# What the driver tells of its connections.


def test_a_lost_connection_makes_the_leader_ask_first():
    """What was on its way is probably gone: the pipeline starts from what is acknowledged."""
    leader = Server(1).lead().acknowledged(2)
    leader.do(core.propose, (b"x",))
    leader.sent(AppendEntries)

    leader.do(core.unreachable, 2)

    assert leader.raft.progress[2].sending is Sending.PROBE
    assert [append.prev_log_index for append in leader.sent(AppendEntries)] == [1]


def test_a_lost_connection_to_a_stranger_or_to_one_that_is_probed_means_nothing():
    """There is no pipeline to be broken."""
    leader = Server(1).lead()
    leader.sent(AppendEntries)

    leader.do(core.unreachable, 9)
    leader.do(core.unreachable, 2)

    assert leader.sent(AppendEntries) == []


def test_a_chunk_of_the_past_is_answered_like_any_leader_of_the_past():
    """§5.1: a snapshot installed in the name of an old leader could be older than the log."""
    follower = Server(1, term=5)

    follower.hear(InstallSnapshot, 2, term=4, last_included_index=9, last_included_term=4)

    assert [reply.term for reply in follower.sent(AppendEntriesReply)] == [5]
    assert follower.raft.receiving is None


def start(hard_state, base, terms, last_applied, seed=0):
    """Server 1 with this on its disk."""
    saved = Saved(hard_state, base, commands(*terms), last_applied)
    return core.start(0, 1, Config(), Random(seed), saved)
