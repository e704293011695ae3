"""AppendEntries both ways, what a majority commits, and heartbeats (§5.3, §5.4.2).

Handlers only note what is known; appends leave when the driver asks for its duties (send_appends),
so a busy leader sends each follower one message for all that came in during a turn.
"""

from messages.codec import ENTRIES_MAX
from messages.raft import (
    AppendEntries,
    AppendEntriesReply,
    Entry,
    Heartbeat,
    HeartbeatReply,
)
from raft import membership, reads, snapshot, transfer
from raft.progress import REPLICATE, Progress, Sending
from raft.roles import follow_nobody
from raft.state import LEADER, Raft, send


def send_appends(raft: Raft) -> None:
    """Send each follower what it lacks, as far as its window allows, or at least the commit."""
    last, commit = raft.log.last_index, raft.commit_index
    for server, progress in raft.progress.items():
        if server == raft.server_id:
            continue
        if progress.probe_due or progress.next_index <= last:
            _send_to(raft, server, progress)
        committed = min(progress.match_index, commit)
        if progress.commit_sent < committed and progress.sending is REPLICATE:
            reads.send_heartbeat(raft, server, 0)


def _send_to(raft: Raft, server: int, progress: Progress) -> None:
    config = raft.config
    if progress.next_index <= raft.log.truncated_index:
        snapshot.begin_sending(raft, progress)
        return
    while progress.next_index <= raft.log.last_index and not progress.is_paused(
        config.inflight_messages_max, config.inflight_bytes_max
    ):
        last = min(raft.log.last_index, progress.next_index + ENTRIES_MAX - 1)
        last = raft.log.last_within(progress.next_index, last, config.append_bytes_max)
        _send_append(raft, server, progress, last)
    if progress.probe_due and progress.sending is not Sending.SNAPSHOT:
        # Nothing new, or a full window that may be lost: without entries it asks where we stand.
        _send_append(raft, server, progress, progress.next_index - 1)


def _send_append(raft: Raft, server: int, progress: Progress, last: int) -> None:
    log = raft.log
    first = progress.next_index
    prev_log_term = log.term_at(first - 1)
    assert prev_log_term is not None
    entries = log.between(first, last)
    commit = raft.commit_index
    head = (raft.group, raft.server_id, server, raft.current_term)
    send(raft, AppendEntries(*head, first - 1, prev_log_term, commit, entries))
    progress.commit_sent = max(progress.commit_sent, min(commit, last))
    progress.on_sent(last, log.bytes_between(first - 1, last))


def on_append_entries(raft: Raft, message: AppendEntries) -> None:
    """Take what follows a place where both logs agree, refuse what does not (§5.3)."""
    if raft.receiving is not None and raft.receiving.verified:
        return  # a snapshot is about to replace this log; the leader asks again
    if message.prev_log_index < raft.commit_index:
        snapshot.acknowledge(raft, message.source, raft.commit_index)  # late: we know better
        return
    if raft.log.term_at(message.prev_log_index) != message.prev_log_term:
        _refuse(raft, message)
        return
    _merge(raft, message.prev_log_index + 1, message.entries)
    last_new = message.prev_log_index + len(message.entries)
    raft.commit_index = max(raft.commit_index, min(message.leader_commit, last_new))
    snapshot.acknowledge(raft, message.source, last_new)


def _merge(raft: Raft, first: int, entries: tuple[Entry, ...]) -> None:
    """Keep what agrees, cut at the first conflict, append the rest (Figure 2, steps 3 and 4).

    Cutting without a conflict would be wrong: a delayed, shorter append would erase entries that
    this server has acknowledged already (D7).
    """
    for offset, entry in enumerate(entries):
        term = raft.log.term_at(first + offset)
        if term != entry.term:
            if term is not None:
                membership.truncate_from(raft, first + offset)
            membership.append(raft, entries[offset:])
            return


def _refuse(raft: Raft, message: AppendEntries) -> None:
    """Name the last place that could agree, so that the leader skips whole terms."""
    agreeing = raft.log.last_agreeing(message.prev_log_index, message.prev_log_term)
    hint = max(agreeing, raft.commit_index)  # what is committed agrees with every leader
    hint_term = raft.log.term_at(hint)
    assert hint_term is not None
    head = (raft.group, raft.server_id, message.source, raft.current_term)
    send(raft, AppendEntriesReply(*head, False, hint, message.prev_log_index, hint_term))


def on_append_entries_reply(raft: Raft, message: AppendEntriesReply) -> None:
    """Move the follower's progress, and with it what is committed."""
    progress = raft.progress[message.source]
    if message.success:
        _on_success(raft, progress, message.match_index)
    elif progress.sending is Sending.REPLICATE:
        if message.prev_log_index > progress.match_index:
            progress.become_probe()
    elif progress.sending is Sending.PROBE and message.prev_log_index == progress.next_index - 1:
        # Both sides skip (§5.3): the follower named the last place that our term could agree with,
        # we go on to the last place of ours that its term could agree with.
        # Where that is before our log it needs a snapshot.
        agreeing = raft.log.last_agreeing(message.match_index, message.hint_term)
        progress.next_index = max(progress.match_index, agreeing) + 1
        progress.probe_due = True


def _on_success(raft: Raft, progress: Progress, match_index: int) -> None:
    if match_index > raft.log.last_index:
        return  # nobody can hold what we never sent: the peer is at fault
    news = progress.on_match(match_index)
    agreed = match_index == progress.match_index >= raft.log.truncated_index
    if agreed and progress.sending is not REPLICATE:
        progress.become_replicate()
    elif progress.install and progress.install.snapshot.last_included_index <= match_index:
        progress.become_probe()  # it has this snapshot, but what follows is gone meanwhile
    if news:
        advance_commit(raft)
        transfer.try_timeout_now(raft)


def on_heartbeat(raft: Raft, message: Heartbeat) -> None:
    """Hear the leader; it names no commit beyond what we acknowledged to it."""
    raft.commit_index = max(raft.commit_index, min(message.leader_commit, raft.log.last_index))
    if message.read_round:
        head = (raft.group, raft.server_id, message.source, raft.current_term)
        send(raft, HeartbeatReply(*head, message.read_round))


def on_heartbeat_reply(raft: Raft, message: HeartbeatReply) -> None:
    """A follower that answers but lacks something is asked again: an append may have been lost.

    So is one that lacks nothing while we probe: else it would wait a heartbeat for the next entry.
    """
    reads.on_heartbeat_reply(raft, message)
    progress = raft.progress[message.source]
    if progress.match_index < raft.log.last_index or progress.sending is Sending.PROBE:
        progress.probe_due = True


def advance_commit(raft: Raft) -> None:
    """Commit what a majority holds, if it is of this term; what lies before it follows (§5.4.2).

    Counting an entry of an earlier term would be wrong: Figure 8 shows it overwritten (D9).
    """
    index = min(membership.quorum_index(raft), raft.log.last_index)
    if index <= raft.commit_index or raft.log.term_at(index) != raft.current_term:
        return
    raft.commit_index = index
    membership.leave_joint(raft)
    if not membership.is_promotable(raft) and raft.memberships[-1][0] <= index:
        _step_down_removed(raft)


def _step_down_removed(raft: Raft) -> None:
    """A leader that is no voter any more has done its last duty (thesis §4.2.2).

    It tells of the commit and names a successor, so that nobody waits for an election timeout.
    """
    send_appends(raft)
    transfer.name_successor(raft)
    follow_nobody(raft)


def refuse_leader(raft: Raft, source: int) -> None:
    """The leader of an old term learns from ours that it is one."""
    send(
        raft,
        AppendEntriesReply(raft.group, raft.server_id, source, raft.current_term, False, 0, 0, 0),
    )


def is_leader_of(raft: Raft, source: int) -> bool:
    """Whether a reply is ours to count: we lead, and its sender still takes part."""
    return raft.role is LEADER and source in raft.progress
