"""Planted bugs about what is on disk, and what may be said before it is (D1, D2, R3)."""

from tests.mutants.mutant import Mutant

MUTANTS = (
    Mutant(
        "vote-told-before-durable",
        "D1",
        "raft/state.py",
        "if raft.hard_state_is_durable:\n        raft.outbox",
        "if True:\n        raft.outbox",
        "A vote leaves before it is on disk; after a crash the voter votes again in that term.",
        "tests/paper/test_5_1_terms.py::test_a_vote_is_not_told_before_it_is_durable",
    ),
    Mutant(
        "own-vote-counted-at-once",
        "D1",
        "raft/roles.py",
        "_become(raft, Role.CANDIDATE, NOBODY)\n    raft.votes = {}",
        "_become(raft, Role.CANDIDATE, NOBODY)\n    raft.votes = {raft.server_id: True}",
        "A candidate leads on a vote of its own that a crash would take back.",
        "tests/paper/test_5_1_terms.py::test_a_candidates_own_vote_counts_only_when_it_is_durable",
    ),
    Mutant(
        "vote-lost-at-restart",
        "M3",
        "raft/core.py",
        "voted_for=hard_state.voted_for,",
        "voted_for=NOBODY,",
        "A restarted server votes a second time in the term it has voted in.",
        "tests/paper/test_5_1_terms.py::test_the_term_and_the_vote_survive_a_crash",
    ),
    Mutant(
        "acknowledged-before-durable",
        "D2",
        "raft/snapshot.py",
        "if match_index <= raft.log.stable_index:\n        send(raft, reply)",
        "if match_index <= raft.log.last_index:\n        send(raft, reply)",
        "A follower acknowledges what only its memory holds; a crash loses a committed entry.",
        "tests/paper/test_5_3_replication.py::test_a_follower_acknowledges_only_what_is_durable",
    ),
    Mutant(
        "leader-counts-its-memory",
        "D2",
        "raft/ready.py",
        "match_index = raft.log.stable_index",
        "match_index = raft.log.last_index",
        "A leader counts entries that came in behind the write that has just returned.",
        "tests/paper/test_thesis_10_2_1_parallel_writes.py"
        "::test_a_leader_counts_itself_as_far_as_the_finished_write_reaches",
    ),
    Mutant(
        "own-word-believed",
        "D2",
        "raft/core.py",
        "    if message.source == raft.server_id:\n        return  #",
        "    if message.source == raft.server_id:\n        pass  #",
        "An acknowledgement in a server's own name counts what its disk does not hold.",
        "tests/unit/test_planted.py::test_nobody_is_acknowledged_by_itself",
    ),
    Mutant(
        "overwritten-counts-as-durable",
        "D2",
        "raft/membership.py",
        "raft.writing_last = min(raft.writing_last, first - 1)",
        "",
        "ABA: a write of an overwritten entry makes the one that replaced it count as durable.",
        "tests/paper/test_thesis_10_2_1_parallel_writes.py"
        "::test_a_finished_write_does_not_vouch_for_entries_that_replaced_its_own",
    ),
    Mutant(
        "truncation-keeps-stable",
        "D2",
        "raft/log.py",
        "self.stable_index = min(self.stable_index, first - 1)",
        "",
        "What replaces a conflicting entry counts as durable and is never written.",
        "tests/paper/test_5_3_replication.py"
        "::test_a_follower_keeps_what_agrees_and_replaces_what_conflicts",
    ),
    Mutant(
        "promise-survives-truncation",
        "D2",
        "raft/membership.py",
        "isinstance(message, AppendEntriesReply) and message.match_index >= first:",
        "isinstance(message, AppendEntriesReply) and message.match_index < 0:",
        "An acknowledgement leaves though the entries that it promises were dropped.",
        "tests/paper/test_thesis_10_2_1_parallel_writes.py"
        "::test_an_acknowledgement_is_withdrawn_when_its_entries_are_replaced",
    ),
    Mutant(
        "applied-before-durable",
        "D2",
        "raft/ready.py",
        "last = min(raft.commit_index, log.stable_index)",
        "last = raft.commit_index",
        "A state flushed before a crash lies ahead of its own log.",
        "tests/paper/test_thesis_10_2_1_parallel_writes.py"
        "::test_a_server_applies_nothing_that_its_own_disk_does_not_hold",
    ),
    Mutant(
        "two-writes-in-flight",
        "D1",
        "raft/ready.py",
        "    if raft.writing is not None:\n        return None\n",
        "",
        "A second write is handed out while the first one is under way.",
        "tests/paper/test_thesis_10_2_1_parallel_writes.py"
        "::test_what_waits_behind_a_write_becomes_one_write",
    ),
    Mutant(
        "restart-commits-its-whole-log",
        "R3",
        "raft/core.py",
        "commit_index = max(hard_state.commit_index, last_applied)",
        "commit_index = log.last_index",
        "A restarted server takes for committed whatever its disk holds.",
        "tests/paper/test_5_3_replication.py"
        "::test_a_follower_takes_no_commit_for_entries_that_were_not_compared",
    ),
    Mutant(
        "restart-skips-the-replay",
        "R3",
        "raft/core.py",
        "handed_index=last_applied,",
        "handed_index=commit_index,",
        "What was committed but not applied before a restart is never applied.",
        "tests/paper/test_7_snapshots.py"
        "::test_a_server_restarts_from_the_snapshot_that_it_installed",
    ),
    Mutant(
        "restart-forgets-the-commit",
        "R3",
        "raft/core.py",
        "commit_index = max(hard_state.commit_index, last_applied)",
        "commit_index = last_applied",
        "A restarted server takes its barrier to be reached long before it is.",
        "tests/paper/test_5_3_replication.py"
        "::test_an_append_before_the_commit_index_is_answered_and_not_read",
    ),
)
