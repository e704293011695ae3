"""What may reach a peer later, so that it comes with more: each word alone wakes a thread.

A leader needs a majority, so it tells a majority at once; the other followers hear of it with its
next beat, and take many appends in one turn and one sync. To Raft they are servers behind a slower
network. They hear of it sooner where the first do not answer within a tick or two. Those who
acknowledged most are told first, so who falls behind makes room for another with its next answer,
and at each beat neighbours again (docs/decisions/0009-a-majority-first.md).
"""

from messages.raft import AppendEntries, Heartbeat, Message
from raft.progress import REPLICATE
from raft.quorum import majority
from raft.state import LEADER, Raft

NOBODY_LATE: frozenset[int] = frozenset()


class Held:
    """A leader's messages that wait for company; the window of each follower bounds them."""

    def __init__(self) -> None:
        self._first: frozenset[int] = frozenset()
        self._appends: dict[int, list[Message]] = {}  # by peer
        self._beats: dict[int, Heartbeat] = {}  # by peer: the last says what those before it said
        # As of the last tick, and of the last beat:
        self._clock = 0
        self._waiting: tuple[int | None, int | None] = (None, None)
        self._told_all = 0

    def let_go(self, raft: Raft, messages: list[Message], *, has_ticked: bool) -> list[Message]:
        """Of what was held and of these, what leaves now; after a tick all of it may."""
        if raft.role is not LEADER and not self._appends and not self._beats:
            return messages
        is_due = has_ticked and self._on_tick(raft)
        if not has_ticked and not messages:
            return []
        others = [message for message in messages if not self._take(message)]
        urgent = {message.target for message in others} if others else ()
        late = NOBODY_LATE if is_due else self._late(raft)
        leaving: list[Message] = []
        for peer in self._appends.keys() | self._beats.keys():
            if peer in urgent or peer not in late:
                leaving += self._appends.pop(peer, ())
                # One that asks for nothing tells of a commit, and the next append tells it as well.
                is_wanted = has_ticked or peer in urgent
                if peer in self._beats and (is_wanted or self._beats[peer].read_round):
                    leaving.append(self._beats.pop(peer))
        return leaving + others

    def _on_tick(self, raft: Raft) -> bool:
        """Whether all is due: there was a beat, or what waited for the first at a tick still does.

        A thread that slept or stood still hands in several ticks, and a beat may be among them.
        """
        is_beat = raft.clock - self._clock > raft.heartbeat_elapsed
        waiting = _waiting(raft)
        pairs = zip(waiting, self._waiting, strict=True)
        self._clock, self._waiting = raft.clock, waiting
        self._first = _told_first(raft, self._first, self._told_all if is_beat else None)
        if is_beat:
            self._told_all = raft.log.last_index
        return is_beat or any(now is not None and now == before for now, before in pairs)

    def _take(self, message: Message) -> bool:
        """Whether it is of those that may wait; it may make others needless."""
        peer = message.target
        if type(message) is AppendEntries:
            if peer in self._beats and not self._beats[peer].read_round:
                del self._beats[peer]
            self._appends.setdefault(peer, []).append(message)
        elif type(message) is Heartbeat:
            before = self._beats.get(peer)
            if before and before.term == message.term and not message.read_round:
                message = message._replace(read_round=before.read_round)
            self._beats[peer] = message
        else:
            return False
        return True

    def _late(self, raft: Raft) -> frozenset[int]:
        """Whom a majority needs as little as they need a search for where the logs agree."""
        if not self._first or raft.role is not LEADER or raft.transferee:
            return NOBODY_LATE
        progress = raft.progress
        following = frozenset([at for at in progress if progress[at].sending is REPLICATE])
        return following - self._first if self._first <= following else NOBODY_LATE


def _waiting(raft: Raft) -> tuple[int | None, int | None]:
    """Behind which entry a write waits for a majority, and the oldest round that does."""
    is_written = raft.commit_index == raft.log.last_index
    oldest = raft.read_rounds[0].read_round if raft.read_rounds else None
    return None if is_written else raft.commit_index, oldest


def _told_first(raft: Raft, before: frozenset[int], told_all: int | None) -> frozenset[int]:
    """As many as a majority needs; while the membership changes all are told at once: nobody.

    At a tick those who hold most: the others hold less, unless one of the first gave no answer for
    a tick. At a beat neighbours, if they have answered all that everybody was told with the last
    one: on one machine they sit on other cores (decision 0010).
    """
    voters = raft.membership.voters
    is_wanted = raft.config.majority_first and not raft.membership.outgoing
    if raft.role is not LEADER or not is_wanted:
        return frozenset()
    us, progress = raft.server_id, raft.progress

    def order(at: int) -> tuple[int, bool, int, int]:
        match_index = progress[at].match_index
        if told_all is None:
            return -match_index, at not in before, abs(at - us), at
        return 0, match_index < told_all, abs(at - us), at

    fit = sorted((at for at in voters if at != us and _is_following(raft, at)), key=order)
    needed = majority(voters) - (us in voters)
    return frozenset(fit[:needed]) if len(fit) >= needed else frozenset()


def _is_following(raft: Raft, peer: int) -> bool:
    """Whether its log agrees with ours, as far as it goes; to all others we speak at once."""
    progress = raft.progress.get(peer)
    return progress is not None and progress.sending is REPLICATE
