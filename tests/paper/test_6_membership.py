"""§6 and thesis §4.1, §4.2: one server more or less, in force as soon as it is in the log."""

import pytest

from messages.codec import encode_membership
from messages.raft import (
    MEMBERSHIP,
    AppendEntries,
    Entry,
    InstallSnapshot,
    Membership,
    PreVote,
    RequestVote,
    RequestVoteReply,
)
from raft.core import Action, Change, propose, propose_membership
from raft.election import campaign
from raft.state import Config, Proposed, Refusal, Role
from tests.network import PAPER, Network, Server, commands, trio

FOUR = Membership(voters=(1, 2, 3, 4))


def test_a_membership_counts_from_when_it_is_in_the_log():
    """§6, M4: a server always uses the latest configuration in its log, committed or not."""
    leader = Server(1, learners=(4,)).lead().acknowledged(2, 3, 4)
    leader.do(propose_membership, [Change(Action.PROMOTE, 4)])
    in_force = leader.raft.membership.voters

    leader.acknowledged(2)
    commit_with_two_of_four = leader.raft.commit_index
    leader.acknowledged(3)

    assert in_force == (1, 2, 3, 4)
    assert (commit_with_two_of_four, leader.raft.commit_index) == (1, 2)


def test_a_follower_uses_a_membership_as_soon_as_it_is_in_its_log():
    """§6, M4: its own campaign already asks the voter that an uncommitted entry added."""
    follower = Server(2)
    follower.hear(AppendEntries, 1, term=1, entries=[entry_of(FOUR)])

    follower.tick(PAPER.election_ticks_max)

    assert [ask.target for ask in follower.sent(RequestVote)] == [1, 3, 4]


def test_a_membership_is_rolled_back_with_its_entry():
    """Thesis §4.1, M4: if the entry is removed, fall back to the previous configuration."""
    follower = Server(2)
    follower.hear(AppendEntries, 1, term=1, entries=[entry_of(FOUR)])

    follower.hear(AppendEntries, 3, term=2, entries=commands(2))

    assert follower.raft.membership == Membership(voters=(1, 2, 3))


def test_a_membership_is_found_again_after_a_crash():
    """§6, M4: it is kept in the log, and so with the log."""
    follower = Server(2)
    follower.hear(AppendEntries, 1, term=1, entries=[entry_of(FOUR), *commands(1)])

    follower.restart()

    assert follower.raft.membership == FOUR


def test_the_membership_of_a_cut_log_is_found_again_after_a_crash():
    """§7, M4: the latest configuration up to the last included entry is kept beside the state."""
    config = PAPER._replace(log_trailing_entries=0)
    leader = Server(1, config=config).lead().acknowledged(2, 3)
    leader.do(propose_membership, [Change(Action.ADD_LEARNER, 4)])
    leader.acknowledged(2, 3, 4)

    leader.save()
    leader.restart()

    assert leader.raft.log.truncated_index == 2
    assert leader.raft.membership == Membership(voters=(1, 2, 3), learners=(4,))


def test_a_saved_state_keeps_the_membership_that_it_has_seen():
    """§7, M4: one that is only in the log may still be rolled back, also after a crash."""
    follower = Server(2, log=(1, 1), commit=2, config=PAPER._replace(log_trailing_entries=0))
    place = {"prev_log_index": 2, "prev_log_term": 1}
    follower.hear(AppendEntries, 1, **place, entries=[entry_of(FOUR)])
    follower.save()

    follower.restart()
    in_force = follower.raft.membership
    follower.hear(AppendEntries, 3, term=2, **place, entries=commands(2))

    assert follower.raft.log.truncated_index == 2
    assert in_force == FOUR
    assert follower.raft.membership == Membership(voters=(1, 2, 3))


def test_a_cut_log_can_still_roll_a_membership_back():
    """§7, M4: what came before the cut is the membership to fall back to."""
    follower = Server(2, log=(1, 1), commit=2, config=PAPER._replace(log_trailing_entries=0))
    place = {"prev_log_index": 2, "prev_log_term": 1}
    follower.hear(AppendEntries, 1, **place, entries=[entry_of(FOUR)])

    follower.save()
    follower.hear(AppendEntries, 3, term=2, **place, entries=commands(2))

    assert follower.raft.membership == Membership(voters=(1, 2, 3))


def test_one_membership_change_is_committed_before_the_next_begins():
    """Thesis §4.1, M4: else majorities need not overlap, and two leaders could be elected."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(propose_membership, [Change(Action.ADD_LEARNER, 4)])

    refused = leader.do(propose_membership, [Change(Action.ADD_LEARNER, 5)])
    leader.acknowledged(2)
    taken = leader.do(propose_membership, [Change(Action.ADD_LEARNER, 5)])

    assert refused is Refusal.CHANGE_PENDING
    assert isinstance(taken, Proposed)


def test_no_membership_change_before_the_terms_first_commit():
    """M1, Ongaro 2015: a single-server change may race one that an earlier leader began."""
    leader = Server(1, learners=(4,)).lead()

    refused = leader.do(propose_membership, [Change(Action.REMOVE, 3)])
    leader.acknowledged(2)
    taken = leader.do(propose_membership, [Change(Action.REMOVE, 3)])

    assert refused is Refusal.NOT_READY
    assert isinstance(taken, Proposed)


def test_nobody_campaigns_over_a_membership_that_it_has_not_applied():
    """Beyond the thesis: who takes part must be settled here before this server may lead."""
    follower = Server(2, term=1)
    follower.disk_held = True
    follower.hear(AppendEntries, 1, entries=[entry_of(FOUR)], leader_commit=1)

    follower.do(campaign)
    role_before = follower.raft.role
    follower.finish_write()
    follower.do(campaign)

    assert (role_before, follower.raft.role) == (Role.FOLLOWER, Role.CANDIDATE)


def test_a_new_server_joins_as_a_learner_and_counts_for_nothing():
    """§6, M5: new servers join as non-voting members, not considered for majorities."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(propose_membership, [Change(Action.ADD_LEARNER, 4)])

    leader.acknowledged(4)

    assert leader.raft.membership == Membership(voters=(1, 2, 3), learners=(4,))
    assert 4 in leader.raft.progress
    assert leader.raft.commit_index == 1


def test_a_server_that_never_was_a_learner_cannot_become_a_voter():
    """Thesis §4.2.1, M5: a new server first catches up."""
    leader = Server(1).lead().acknowledged(2, 3)

    refused = leader.do(propose_membership, [Change(Action.PROMOTE, 4)])

    assert refused is Refusal.UNKNOWN_SERVER


def test_a_learner_is_promoted_only_when_it_has_caught_up():
    """Thesis §4.2.1, M5: until its log is nearly complete it would only delay commitment."""
    config = PAPER._replace(promote_lag_entries_max=2)
    leader = Server(1, learners=(4,), config=config).lead()
    leader.do(propose, [b"x"] * 9)
    leader.acknowledged(2, 3)
    promotion = [Change(Action.PROMOTE, 4)]

    leader.acknowledged(4, index=7)
    refused = leader.do(propose_membership, promotion)
    leader.acknowledged(4, index=8)
    taken = leader.do(propose_membership, promotion)

    assert refused is Refusal.NOT_CAUGHT_UP
    assert isinstance(taken, Proposed)


def test_a_learner_that_was_never_heard_is_not_promoted():
    """Thesis §4.2.1, M5: in a quiet group a dead server lacks little, and would cost a vote."""
    leader = Server(1, learners=(4,)).lead().acknowledged(2, 3)

    refused = leader.do(propose_membership, [Change(Action.PROMOTE, 4)])

    assert refused is Refusal.NOT_CAUGHT_UP


def test_a_learner_and_a_stranger_never_campaign():
    """Thesis §4.2.1: a server that is not part of its latest configuration starts no elections."""
    learner, stranger = Server(4, learners=(4,)), Server(9)

    learner.tick(4 * PAPER.election_ticks_max)
    stranger.tick(4 * PAPER.election_ticks_max)

    assert (learner.raft.role, learner.raft.current_term) == (Role.FOLLOWER, 0)
    assert (stranger.raft.role, stranger.raft.current_term) == (Role.FOLLOWER, 0)


def test_a_learner_votes_when_it_is_asked():
    """Thesis §4.1, M5: it may be a voter already and not know it; the vote may be needed."""
    learner = Server(4, learners=(4,))

    learner.hear(RequestVote, 1, term=1)

    assert [reply.vote_granted for reply in learner.sent(RequestVoteReply)] == [True]


def test_a_leader_that_is_removed_does_not_count_itself():
    """Thesis §4.2.2: it replicates log entries but does not count itself in majorities."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(propose_membership, [Change(Action.REMOVE, 1)])

    leader.acknowledged(2)

    assert leader.raft.role is Role.LEADER
    assert leader.raft.commit_index == 1


def test_a_leader_that_is_removed_steps_down_when_that_is_committed():
    """Thesis §4.2.2: it steps down once C_new is committed, and the others go on."""
    leader, *others = network = trio()
    network.elect(leader)

    leader.do(propose_membership, [Change(Action.REMOVE, 1)])
    network.deliver()

    assert leader.raft.role is Role.FOLLOWER
    assert sorted(other.raft.role.value for other in others) == ["follower", "leader"]
    assert {other.raft.membership.voters for other in others} == {(2, 3)}


def test_a_leader_that_removed_itself_still_campaigns_until_that_is_committed():
    """Thesis §4.2.2, Figure 4.6: it might be needed, and does not count its own vote."""
    leader = Server(1, voters=(1, 2)).lead().acknowledged(2)
    leader.do(propose_membership, [Change(Action.REMOVE, 1)])
    leader.restart()

    leader.do(campaign)
    role_with_its_own_vote = leader.raft.role
    leader.hear(RequestVoteReply, 2, vote_granted=True)

    assert role_with_its_own_vote is Role.CANDIDATE
    assert leader.raft.role is Role.LEADER


def test_a_late_answer_of_a_removed_server_changes_nothing():
    """Thesis §4.2: it was on its way when the removal came into force."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(propose_membership, [Change(Action.REMOVE, 3)])

    leader.acknowledged(3)
    leader.confirmed(3)

    assert leader.raft.role is Role.LEADER
    assert leader.raft.commit_index == 1


def test_the_id_of_a_removed_server_is_never_used_again():
    """M6: what an old server of that id says or holds would be taken for the new one's."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(propose_membership, [Change(Action.REMOVE, 3)])
    leader.acknowledged(2)

    again = leader.do(propose_membership, [Change(Action.ADD_LEARNER, 3)])

    assert again is Refusal.REMOVED_ID


def test_removed_ids_travel_with_a_snapshot():
    """M6: who got the state and not the log must refuse them too."""
    gone = Membership(voters=(1, 2), removed=(3,))
    server = Server(2)
    place = {"last_included_index": 5, "last_included_term": 1, "membership": gone}

    server.hear(InstallSnapshot, 1, term=1, done=True, **place)
    server.lead().acknowledged(1)
    again = server.do(propose_membership, [Change(Action.ADD_LEARNER, 3)])

    assert again is Refusal.REMOVED_ID


@pytest.mark.parametrize("kind", [RequestVote, PreVote])
def test_a_removed_server_raises_no_terms(kind):
    """§6, M7: it will not receive heartbeats, so it will time out and start new elections."""
    gone = Membership(voters=(1, 2), removed=(3,))
    server = Server(1)
    server.hear(AppendEntries, 2, term=1, entries=[entry_of(gone)], leader_commit=1)
    server.tick(PAPER.election_ticks_max)
    term = server.raft.current_term

    server.hear(kind, 3, term=9, last_log_index=9, last_log_term=9)

    assert server.raft.current_term == term


def test_a_removal_that_may_still_be_rolled_back_silences_nobody():
    """§6, M7: the server may have to lead, if the leader that removed it is gone."""
    gone = Membership(voters=(1, 2), removed=(3,))
    server = Server(1, term=1)
    server.hear(AppendEntries, 2, entries=[entry_of(gone)])

    server.hear(RequestVote, 3, term=2, last_log_index=9, last_log_term=1)

    assert [reply.vote_granted for reply in server.sent(RequestVoteReply)] == [True]


def test_voters_disregard_candidates_while_they_hear_a_leader():
    """§6, M2 and M7: within the minimum election timeout, neither a vote nor the term."""
    voter = Server(1, term=1, config=Config())
    voter.hear(AppendEntries, 2)
    voter.tick(Config().election_ticks_min - 1)

    voter.hear(RequestVote, 3, term=9, last_log_index=9, last_log_term=9)
    term_while_heard = voter.raft.current_term
    voter.tick()
    voter.hear(RequestVote, 3, term=9, last_log_index=9, last_log_term=9)

    assert (term_while_heard, voter.raft.current_term) == (1, 9)
    assert [reply.vote_granted for reply in voter.sent(RequestVoteReply)] == [True]


def test_a_leader_disregards_candidates_while_it_hears_a_majority():
    """§6, M7: a removed or cut-off server's campaign does not unseat it."""
    leader = Server(1, config=Config()).lead()
    leader.tick(Config().election_ticks_min)

    leader.hear(RequestVote, 3, term=9, last_log_index=9, last_log_term=9)

    assert (leader.raft.role, leader.raft.current_term) == (Role.LEADER, 1)


def test_a_leader_that_hears_no_majority_steps_down():
    """Thesis §6.2, M2: an election timeout without a round to a majority of its cluster."""
    leader = Server(1, config=Config()).lead().acknowledged(2)

    leader.tick(Config().election_ticks_max)
    role_after_answers = leader.raft.role
    leader.tick(Config().election_ticks_max)

    assert (role_after_answers, leader.raft.role) == (Role.LEADER, Role.FOLLOWER)


def test_pre_vote_and_check_quorum_are_on_unless_a_user_turns_them_off():
    """M2: without both, one bad link can keep a cluster without a leader."""
    config = Config()

    assert config.pre_vote and config.check_quorum


def test_a_partitioned_server_raises_no_terms_when_it_comes_back():
    """§6, M7: a server that was cut off for long finds everything as it was."""
    leader, follower, lonely = network = trio(Config())
    network.elect(leader)
    network.part({3})
    network.tick(5 * Config().election_ticks_max)

    network.part()
    network.tick(Config().election_ticks_max)

    assert {server.raft.current_term for server in network} == {1}
    assert (leader.raft.role, lonely.raft.leader_id) == (Role.LEADER, 1)
    assert follower.raft.leader_id == 1


def test_a_new_server_catches_up_and_becomes_a_voter():
    """Thesis §4.2.1: as learner, then in the majority, while commands go on."""
    leader, *_, newcomer = network = Network(*map(Server, (1, 2, 3)), Server(4, voters=()))
    network.elect(leader).do(propose, [b"a"])

    for action in (Action.ADD_LEARNER, Action.PROMOTE):
        network.deliver()
        leader.do(propose_membership, [Change(action, 4)])
        leader.do(propose, [b"b"])
    network.deliver()

    assert newcomer.state == leader.state == b"abb"
    assert newcomer.raft.membership == FOUR


def entry_of(membership):
    """The log entry, of term 1, that puts this membership in force."""
    return Entry(1, MEMBERSHIP, encode_membership(membership))
