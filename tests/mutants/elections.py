"""Planted bugs about who may lead, and who may disturb a leader (M1-M3, M7-M9, §5.1, §5.2)."""

from tests.mutants.mutant import SIMULATION, Mutant

MUTANTS = (
    Mutant(
        "no-entry-begins-the-term",
        "M1",
        "raft/roles.py",
        'membership.append_own(raft, NOOP, (b"",))',
        "",
        "A new leader cannot commit what earlier terms left behind until somebody proposes.",
        "tests/paper/test_5_2_elections.py::test_a_term_begins_with_an_empty_entry_of_its_leader",
    ),
    Mutant(
        "two-votes-in-a-term",
        "M3",
        "raft/election.py",
        "free = raft.voted_for == NOBODY and raft.leader_id == NOBODY",
        "free = True",
        "Two candidates of one term both get this vote, and both may lead.",
        "tests/paper/test_5_2_elections.py"
        "::test_a_server_votes_once_a_term_first_come_first_served",
    ),
    Mutant(
        "vote-to-a-shorter-log",
        "§5.4.1",
        "raft/election.py",
        "return theirs >= (raft.log.last_term, raft.log.last_index)",
        "return theirs >= (raft.log.last_term, 0)",
        "A leader is elected that lacks committed entries.",
        "tests/paper/test_5_4_safety.py"
        "::test_a_voter_refuses_a_candidate_whose_log_is_less_up_to_date",
    ),
    Mutant(
        "vote-to-a-longer-older-log",
        "§5.4.1",
        "raft/election.py",
        "theirs = (message.last_log_term, message.last_log_index)\n"
        "    return theirs >= (raft.log.last_term, raft.log.last_index)",
        "return message.last_log_index >= raft.log.last_index",
        "A long log of an old term wins against a shorter one with committed entries.",
        "tests/paper/test_5_4_safety.py"
        "::test_a_voter_refuses_a_candidate_whose_log_is_less_up_to_date",
    ),
    Mutant(
        "half-is-a-majority",
        "§5.2",
        "raft/quorum.py",
        "return len(voters) // 2 + 1",
        "return (len(voters) + 1) // 2",
        "Of four servers two make a majority, and so do the other two.",
        "tests/paper/test_5_2_elections.py::test_a_candidate_wins_with_the_votes_of_a_majority",
    ),
    Mutant(
        "vote-kept-into-a-new-term",
        "§5.1",
        "raft/roles.py",
        "raft.current_term = term\n        raft.voted_for = NOBODY",
        "raft.current_term = term",
        "The vote of an old term binds in a new one.",
        SIMULATION,
    ),
    Mutant(
        "later-term-ignored",
        "§5.1",
        "raft/core.py",
        "become_follower(raft, message.term, NOBODY)  # §5.1",
        "return",
        "A leader deposed long ago goes on leading.",
        "tests/paper/test_5_1_terms.py::test_a_leader_adopts_a_higher_term_and_follows",
    ),
    Mutant(
        "stale-candidate-not-told",
        "§5.1",
        "raft/core.py",
        "election.refuse_campaign(raft, message)",
        "return",
        "A candidate of an old term never learns that it is one.",
        "tests/paper/test_5_1_terms.py"
        "::test_who_leads_or_campaigns_in_an_older_term_is_told_the_term",
    ),
    Mutant(
        "stale-leader-not-told",
        "M7",
        "raft/core.py",
        "replication.refuse_leader(raft, message.source)",
        "return",
        "A server whose campaign failed in a later term is never taken back.",
        "tests/paper/test_5_1_terms.py"
        "::test_who_leads_or_campaigns_in_an_older_term_is_told_the_term",
    ),
    Mutant(
        "timeouts-alike",
        "M2",
        "raft/roles.py",
        "raft.random.randrange(ticks_min, ticks_max)",
        "raft.random.randrange(ticks_max, ticks_max + 1)",
        "All servers time out together, and split votes repeat for ever.",
        "tests/paper/test_5_2_elections.py::test_election_timeouts_are_random_in_a_fixed_interval",
    ),
    Mutant(
        "pre-vote-raises-the-term",
        "M2",
        "raft/roles.py",
        "_become(raft, Role.PRE_CANDIDATE, NOBODY)",
        "raft.current_term += 1\n"
        "    raft.voted_for = NOBODY\n"
        "    _become(raft, Role.PRE_CANDIDATE, NOBODY)",
        "A server cut off raises its term at each timeout and unseats the leader on its return.",
        "tests/paper/test_thesis_9_6_pre_vote.py::test_a_pre_vote_raises_no_term_and_binds_no_vote",
    ),
    Mutant(
        "pre-vote-off-by-default",
        "M2",
        "raft/state.py",
        "pre_vote: bool = True",
        "pre_vote: bool = False",
        "A user who does not ask for it is not protected from a server with a bad link.",
        "tests/paper/test_6_membership.py"
        "::test_pre_vote_and_check_quorum_are_on_unless_a_user_turns_them_off",
    ),
    Mutant(
        "pre-vote-for-any-log",
        "M2",
        "raft/election.py",
        "granted = raft.role is not Role.LEADER and _is_up_to_date(raft, message)",
        "granted = raft.role is not Role.LEADER",
        "A server whose log is behind wins a pre-vote and raises the term in vain.",
        "tests/paper/test_thesis_9_6_pre_vote.py"
        "::test_a_pre_vote_is_refused_to_a_log_that_could_not_win",
    ),
    Mutant(
        "leader-never-doubts-itself",
        "M2",
        "raft/election.py",
        "if raft.config.check_quorum and not hears_quorum:",
        "if raft.config.check_quorum and not raft.progress:",
        "A leader cut off from its majority keeps its clients waiting for ever.",
        "tests/paper/test_6_membership.py::test_a_leader_that_hears_no_majority_steps_down",
    ),
    Mutant(
        "leader-doubted-while-heard",
        "M7",
        "raft/election.py",
        "return raft.role is Role.LEADER or raft.election_elapsed < raft.config.election_ticks_min",
        "return False",
        "A server that does not hear the leader unseats it though all others do.",
        "tests/paper/test_6_membership.py"
        "::test_voters_disregard_candidates_while_they_hear_a_leader",
    ),
    Mutant(
        "removed-server-campaigns",
        "M7",
        "raft/core.py",
        "    if message.source in known.removed and message.source not in known.outgoing:\n"
        "        return True  # not while it still votes: it may be the only one that wins both"
        " majorities\n",
        "",
        "A server removed long ago raises the term of those that are left.",
        "tests/paper/test_6_membership.py::test_a_removed_server_raises_no_terms",
    ),
    Mutant(
        "stalled-disk-keeps-leading",
        "M8",
        "raft/election.py",
        "    if raft.write_elapsed >= raft.config.disk_stall_ticks_max and"
        " _hand_over_or_quit(raft):\n"
        "        return\n",
        "",
        "A leader whose disk stands still keeps its followers and commits nothing.",
        "tests/paper/test_thesis_10_2_1_parallel_writes.py"
        "::test_a_leader_whose_disk_stands_still_hands_over",
    ),
    Mutant(
        "stalled-leader-waits-for-a-taker",
        "M8",
        "raft/election.py",
        "if raft.write_elapsed >= overdue:",
        "if raft.write_elapsed < 0:",
        "A stalled leader that nobody can follow never quits.",
        "tests/paper/test_thesis_10_2_1_parallel_writes.py"
        "::test_a_leader_whose_disk_stands_still_quits_if_nobody_takes_over",
    ),
    Mutant(
        "transfer-without-deadline",
        "M9",
        "raft/transfer.py",
        "if raft.transfer_elapsed >= raft.config.transfer_ticks_max:",
        "if raft.transfer_elapsed < 0:",
        "Proposals are refused for ever because the transferee is dead.",
        "tests/paper/test_thesis_3_10_transfer.py"
        "::test_proposals_flow_again_when_a_transfer_takes_too_long",
    ),
    Mutant(
        "transfer-to-whoever-lags",
        "M9",
        "raft/transfer.py",
        "if progress is None or progress.match_index != raft.log.last_index:",
        "if progress is None:",
        "The transferee campaigns with too short a log, and the group is left without a leader.",
        "tests/paper/test_thesis_3_10_transfer.py"
        "::test_the_target_is_brought_up_to_date_before_it_campaigns",
    ),
    Mutant(
        "proposals-during-a-transfer",
        "M9",
        "raft/core.py",
        "    if raft.transferee:\n        return Refusal.TRANSFERRING\n",
        "",
        "New entries keep the transferee from ever holding all of the log.",
        "tests/paper/test_thesis_3_10_transfer.py"
        "::test_a_leader_takes_no_proposals_while_it_hands_over",
    ),
    Mutant(
        "removed-voter-unheard-while-it-votes",
        "M7",
        "raft/core.py",
        "if message.source in known.removed and message.source not in known.outgoing:",
        "if message.source in known.removed:",
        "In a joint membership the only server that can win both majorities is ignored.",
        "tests/test_scenarios.py::test_the_cluster_answers_as_written[joint_outgoing_leads]",
    ),
    Mutant(
        "sleeps-through-its-timeout",
        "§5.2",
        "raft/idle.py",
        "return max(0, raft.election_timeout - raft.election_elapsed - 1)",
        "return max(0, raft.election_timeout - raft.election_elapsed)",
        "A follower that nobody speaks to campaigns a tick late.",
        SIMULATION,
    ),
    Mutant(
        "sleeps-through-its-doubts",
        "M7",
        "raft/idle.py",
        "return max(1, min(beat, config.election_ticks_max - raft.election_elapsed))",
        "return beat",
        "A leader that has lost its majority notices with the next beat only.",
        "tests/unit/test_idle.py::test_a_leader_does_not_sleep_through_its_doubts",
    ),
)
