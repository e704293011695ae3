"""Handing leadership over (thesis §3.10): stop proposals, bring one up to date, let it campaign.

It has a deadline (M9): after that the old leader goes on and proposals flow again.
"""

from messages.raft import NOBODY, TimeoutNow, TransferLeader
from raft.state import Raft, Refusal, Role, send


def transfer_leader(raft: Raft, target: int) -> Refusal | None:
    """Hand leadership to target; a follower hands the wish on to its leader."""
    if raft.role is not Role.LEADER:
        return _hand_on(raft, target)
    if target == raft.server_id or target not in raft.membership.voters:
        return Refusal.NOT_A_VOTER
    if raft.transferee == target:
        return None  # under way; asking again does not move the deadline
    raft.transferee = target
    raft.transfer_elapsed = 0
    try_timeout_now(raft)
    return None


def on_transfer_leader(raft: Raft, message: TransferLeader) -> None:
    """A follower's wish: an expected refusal needs no answer, the user sees who leads."""
    if raft.role is Role.LEADER:
        transfer_leader(raft, message.transferee)


def try_timeout_now(raft: Raft) -> None:
    """Let the transferee campaign as soon as it holds all that we hold."""
    progress = raft.progress.get(raft.transferee)
    if progress is None or progress.match_index != raft.log.last_index:
        return
    # From here on a vote may be given although we lead, and this message may be late by any time:
    # no lease can be relied on again in this term (R2).
    raft.lease_barred = True
    send(raft, TimeoutNow(raft.group, raft.server_id, raft.transferee, raft.current_term))


def name_successor(raft: Raft) -> None:
    """Let the fittest campaign at once, although it may lack what is not committed yet."""
    successor = best_successor(raft)
    assert successor != NOBODY, "whoever completed the majority was heard just now"
    send(raft, TimeoutNow(raft.group, raft.server_id, successor, raft.current_term))


def on_tick(raft: Raft) -> None:
    """Past the deadline we stay the leader (M9)."""
    if not raft.transferee:
        return
    raft.transfer_elapsed += 1
    if raft.transfer_elapsed >= raft.config.transfer_ticks_max:
        abort(raft)


def abort(raft: Raft) -> None:
    """Forget the wish; proposals flow again."""
    raft.transferee = NOBODY
    raft.transfer_elapsed = 0


def best_successor(raft: Raft) -> int:
    """The voter that is heard from and holds the most; NOBODY where there is none."""
    heard = [
        (progress.match_index, -server, server)
        for server, progress in raft.progress.items()
        if server != raft.server_id and server in raft.membership.voters and progress.recent_active
    ]
    return max(heard)[2] if heard else NOBODY


def _hand_on(raft: Raft, target: int) -> Refusal | None:
    if raft.leader_id == NOBODY:
        return Refusal.NOT_LEADER
    head = (raft.group, raft.server_id, raft.leader_id, raft.current_term)
    send(raft, TransferLeader(*head, target))
    return None
