"""Snapshots in both directions, and cutting the log (§7, Figure 13).

The state belongs to the driver and so do the bytes of its chunks; here is only which snapshot,
which offset, when to send again, and when the log may start anew behind it. The follower's commit
and applied index move when the snapshot is durable, never before (mission row 14).
"""

from messages.raft import (
    NOBODY,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Snapshot,
)
from raft import membership
from raft.progress import Progress, Sending
from raft.state import Raft, Receiving, Role, send, send_when_durable


def state_saved(raft: Raft, index: int) -> None:
    """The state machine is durable up to index: cut the log as far as nobody needs it (D11)."""
    assert index <= raft.last_applied
    if index <= raft.saved_index:
        return
    raft.saved_index = index
    cut = min(index, _needed_behind(raft))
    if cut > raft.log.truncated_index:
        membership.forget_until(raft, cut)
        raft.log.compact_to(cut)


def base(raft: Raft) -> Snapshot:
    """Where the log starts, with the membership there."""
    index = raft.log.truncated_index
    return Snapshot(index, raft.log.truncated_term, membership.membership_at(raft, index))


def begin_sending(raft: Raft, progress: Progress) -> None:
    """What the follower needs is compacted away; a silent one waits until it is heard again."""
    if progress.sending is Sending.SNAPSHOT or not progress.recent_active:
        return
    index = raft.saved_index
    term, found = raft.log.term_at(index), membership.membership_at(raft, index)
    assert term is not None and index >= raft.log.truncated_index
    if found.voters:  # who joined empty learned them later: such a state must be saved first
        progress.become_snapshot(Snapshot(index, term, found))


def wanted_chunks(raft: Raft) -> list[InstallSnapshot]:
    """The chunks to be read and sent now, one a follower, within its window."""
    wanted = []
    for server, progress in raft.progress.items():
        install = progress.install
        if install is None or install.wanted or install.all_sent:
            continue
        if install.sent_offset - install.acked_offset < raft.config.snapshot_window_bytes:
            install.wanted = True
            head = (raft.group, raft.server_id, server, raft.current_term)
            wanted.append(
                InstallSnapshot(*head, *install.snapshot, install.sent_offset, b"", False)
            )
    return wanted


def snapshot_sent(raft: Raft, message: InstallSnapshot) -> None:
    """The driver sent this chunk; one that was asked for in other times changes nothing."""
    progress = raft.progress.get(message.target)
    install = progress.install if progress else None
    if install is None or not install.wanted or message.term != raft.current_term:
        return
    known = (install.snapshot.last_included_index, install.sent_offset)
    if (message.last_included_index, message.offset) == known:
        install.sent_offset += len(message.data)
        install.all_sent = message.done
        install.wanted = False
        if message.done:
            install.total_bytes = install.sent_offset


def snapshot_failed(raft: Raft, peer: int) -> None:
    """The driver cannot read the snapshot for peer any more: begin with what it has by now."""
    progress = raft.progress.get(peer)
    if progress and progress.sending is Sending.SNAPSHOT:
        progress.become_probe()


def on_install_snapshot_reply(raft: Raft, message: InstallSnapshotReply) -> None:
    """Go on from what has arrived; going back, or ahead of what was sent, waits for a silence.

    At once would be wrong: every late answer would have a whole window sent again.
    """
    progress = raft.progress[message.source]
    install = progress.install
    if install is None or install.snapshot.last_included_index != message.last_included_index:
        return
    install.next_offset = message.next_offset
    if install.acked_offset < message.next_offset <= install.sent_offset:
        install.on_acknowledged(message.next_offset)


def on_tick(raft: Raft) -> None:
    """Chunks or their answers were lost, or the follower starts over: send from where it stands.

    To a silent one nothing is sent again: it may be dead, and each time costs a whole window.
    """
    for progress in raft.progress.values():
        install = progress.install
        if install is not None and progress.recent_active:
            install.idle_ticks += 1
            if install.idle_ticks >= install.patience * raft.config.snapshot_retry_ticks:
                install.resume()


def on_install_snapshot(raft: Raft, message: InstallSnapshot) -> None:
    """Take the next chunk in order (Figure 13); for any other, say again what is staged.

    It is acknowledged when it is staged: so the leader's window bounds what waits for our disk too.
    """
    index, term = message.last_included_index, message.last_included_term
    if raft.receiving is not None and raft.receiving.verified:
        return  # it is being installed; the leader will hear where we stand afterwards
    if index <= raft.commit_index or raft.log.term_at(index) == term:
        raft.commit_index = max(raft.commit_index, index)
        _drop_outdated(raft)
        acknowledge(raft, message.source, raft.commit_index)
        return
    receiving = _receiving_for(raft, message)
    if receiving is None or message.offset != receiving.next_offset or receiving.complete:
        _reply(raft, message.source, index, receiving.staged_offset if receiving else 0)
        return
    raft.received.append(message)
    receiving.next_offset += len(message.data)
    receiving.complete = message.done


def snapshot_staged(raft: Raft, source: int, last_included_index: int, next_offset: int) -> None:
    """The driver holds all bytes before next_offset; if those are all there are, they verify."""
    receiving = _reported(raft, source, last_included_index)
    if receiving and receiving.staged_offset <= next_offset <= receiving.next_offset:
        receiving.staged_offset = next_offset
        if receiving.complete and next_offset == receiving.next_offset:
            _on_verified(raft, receiving)
        _reply(raft, source, last_included_index, next_offset)


def snapshot_refused(raft: Raft, source: int, last_included_index: int) -> None:
    """What the driver was given does not verify, or finds no room: it must come anew (D10)."""
    if _reported(raft, source, last_included_index):
        raft.receiving = None
        _reply(raft, source, last_included_index, 0)


def finish_install(raft: Raft, snapshot: Snapshot) -> None:
    """It is durable: state, log and membership start behind it (Figure 13, steps 7 and 8)."""
    assert raft.receiving is not None and raft.receiving.snapshot == snapshot
    index = snapshot.last_included_index
    assert index > raft.commit_index
    raft.receiving = None
    raft.log.reset(index, snapshot.last_included_term)
    membership.restart_from(raft, snapshot)
    raft.commit_index = raft.handed_index = raft.last_applied = raft.saved_index = index
    raft.writing_last = index
    if raft.leader_id != NOBODY and raft.role is not Role.LEADER:
        acknowledge(raft, raft.leader_id, index)


def acknowledge(raft: Raft, leader: int, match_index: int) -> None:
    """Tell the leader that all up to match_index agrees, but not before it is durable (D2)."""
    head = (raft.group, raft.server_id, leader, raft.current_term)
    reply = AppendEntriesReply(*head, True, match_index, match_index, 0)
    if match_index <= raft.log.stable_index:
        send(raft, reply)
    else:
        send_when_durable(raft, reply)


def _needed_behind(raft: Raft) -> int:
    """The log after this index may still be needed by a live follower, not too far behind.

    Who does not lead cannot know, and keeps a little for the day it does.
    """
    config = raft.config
    needed = max(
        raft.last_applied - config.log_trailing_entries,
        _too_heavy(raft, raft.last_applied, config.log_trailing_bytes),
    )
    for progress in raft.progress.values():
        if progress.recent_active:  # who is silent may be so for ever
            install = progress.install
            held = install.snapshot.last_included_index if install else progress.match_index
            needed = min(needed, held)
    return max(needed, _too_heavy(raft, raft.log.last_index, config.log_behind_bytes_max))


def _too_heavy(raft: Raft, last: int, bytes_max: int) -> int:
    """Up to here the log must go: what follows, up to last, weighs bytes_max or an entry more."""
    log = raft.log
    excess = log.bytes_between(log.truncated_index, last) - bytes_max
    if excess <= 0:
        return log.truncated_index
    return log.last_within(log.truncated_index + 1, last, excess)


def _drop_outdated(raft: Raft) -> None:
    """A snapshot that the log has come to by itself is of no use."""
    receiving = raft.receiving
    if receiving and receiving.snapshot.last_included_index <= raft.commit_index:
        raft.receiving = None


def _receiving_for(raft: Raft, message: InstallSnapshot) -> Receiving | None:
    """The reception this chunk belongs to; a first chunk of a later snapshot begins anew.

    A late one of an earlier snapshot must not: it would throw away all that has arrived since.
    """
    snapshot = Snapshot(message.last_included_index, message.last_included_term, message.membership)
    receiving = raft.receiving
    if receiving and (receiving.source, receiving.snapshot) == (message.source, snapshot):
        return receiving
    is_late = receiving is not None and (
        receiving.source == message.source
        and receiving.snapshot.last_included_index > message.last_included_index
    )
    if message.offset or is_late:
        return None
    raft.receiving = Receiving(message.source, snapshot)
    return raft.receiving


def _reported(raft: Raft, source: int, last_included_index: int) -> Receiving | None:
    """The reception that the driver's report is about; None if that is over, or verified."""
    receiving = raft.receiving
    if receiving is None or receiving.verified or receiving.source != source:
        return None
    return receiving if receiving.snapshot.last_included_index == last_included_index else None


def _on_verified(raft: Raft, receiving: Receiving) -> None:
    """Let the next write install it, if the log has not come that far meanwhile."""
    index, last_included_term, _ = receiving.snapshot
    if index <= raft.commit_index or raft.log.term_at(index) == last_included_term:
        raft.receiving = None
    else:
        receiving.verified = True


def _reply(raft: Raft, leader: int, last_included_index: int, next_offset: int) -> None:
    head = (raft.group, raft.server_id, leader, raft.current_term)
    send(raft, InstallSnapshotReply(*head, last_included_index, next_offset))
