"""How long a server may sleep: ticks that would only count can be handed in late, all together.

Else a node that nobody speaks to would wake a thread for each tick to find nothing to do.
"""

from raft.state import LEADER, Raft, Role


def idle_ticks(raft: Raft) -> int:
    """So many of the next ticks only count, if nothing else happens before; 0 when in doubt."""
    if raft.writing is not None or raft.waiting:
        return 0
    if raft.role is LEADER:
        return 0 if _is_awaited(raft) else _until_beat(raft) - 1
    if raft.role is not Role.FOLLOWER or raft.forwarded or raft.contexts_waiting:
        return 0
    return max(0, raft.election_timeout - raft.election_elapsed - 1)


def _is_awaited(raft: Raft) -> bool:
    """Whether the leader waits for others in a way that ticks end, or ask about."""
    if raft.log.last_index > raft.commit_index or raft.read_rounds or raft.readers_waiting:
        return True
    if raft.transferee or raft.membership.outgoing:
        return True
    for progress in raft.progress.values():  # noqa: SIM110 - any() would be a generator's turns
        if progress.install is not None:
            return True
    return False


def _until_beat(raft: Raft) -> int:
    """Ticks until the leader speaks, or doubts itself."""
    config = raft.config
    beat = config.heartbeat_ticks - raft.heartbeat_elapsed
    return max(1, min(beat, config.election_ticks_max - raft.election_elapsed))
