"""One follower as its leader sees it: what may be sent in which state, and what is on its way."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from messages.raft import Membership, Snapshot
from raft.progress import PATIENCE_MAX, Progress, Sending, SnapshotSending

MESSAGES_MAX, BYTES_MAX = 4, 100
SNAPSHOT = Snapshot(7, 2, Membership((1, 2, 3)))


class ProgressAgainstALedger(RuleBasedStateMachine):
    """A ledger of what was sent since the last change of state says what is still on its way."""

    def __init__(self) -> None:
        super().__init__()
        self.progress = Progress(10)
        self.ledger: list[tuple[int, int]] = []
        self.match = 0

    @rule(entries=st.integers(0, 3), size=st.integers(1, 60))
    def send(self, entries: int, size: int) -> None:
        """An append leaves whenever that is allowed; only a pipeline keeps account of it."""
        if self.paused():
            return
        last = self.progress.next_index + entries - 1
        self.progress.on_sent(last, size)
        if self.progress.sending is Sending.REPLICATE and entries:
            self.ledger.append((last, size))

    @rule(index=st.integers(0, 40))
    def acknowledge(self, index: int) -> None:
        """Answers come late, twice and in any order; only a higher one is news."""
        news = index > self.match
        self.match = max(self.match, index)
        assert self.progress.on_match(index) is news
        while self.ledger and self.ledger[0][0] <= index:
            self.ledger.pop(0)

    @rule(to=st.sampled_from(Sending))
    def become(self, to: Sending) -> None:
        """A change of state forgets what was on its way."""
        if to is Sending.SNAPSHOT:
            self.progress.become_snapshot(SNAPSHOT)
        elif to is Sending.PROBE:
            self.progress.become_probe()
        else:
            self.progress.become_replicate()
        self.ledger.clear()

    @invariant()
    def keeps_its_account(self) -> None:
        """What is in flight is what the ledger holds, and match stays below next."""
        assert list(self.progress.inflight) == self.ledger
        assert self.progress.inflight_bytes == sum(size for _, size in self.ledger)
        assert self.progress.match_index == self.match < self.progress.next_index

    @invariant()
    def is_bounded(self) -> None:
        """A pipeline is paused exactly while the ledger is full; a snapshot stops all appends."""
        if self.progress.sending is Sending.REPLICATE:
            size = sum(size for _, size in self.ledger)
            assert self.paused() == (len(self.ledger) >= MESSAGES_MAX or size >= BYTES_MAX)
        elif self.progress.sending is Sending.SNAPSHOT:
            assert self.paused()
        assert (self.progress.install is not None) == (self.progress.sending is Sending.SNAPSHOT)

    def paused(self) -> bool:
        """Whether the bounds of this test allow no further append."""
        return self.progress.is_paused(MESSAGES_MAX, BYTES_MAX)


ProgressAgainstALedger.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestProgressAgainstALedger = ProgressAgainstALedger.TestCase


def test_a_probe_leaves_once_until_it_is_answered():
    """§5.3: while nobody knows where the logs agree, one append at a time is enough."""
    probing = Progress(5)
    assert not probing.is_paused(MESSAGES_MAX, BYTES_MAX)

    probing.on_sent(7, 50)

    assert probing.is_paused(MESSAGES_MAX, BYTES_MAX)
    assert probing.next_index == 5, "what a probe carries is not counted on"


def test_a_pipeline_counts_on_what_it_sent():
    """Thesis §10.2.1: next_index runs ahead of the answers, within the window."""
    streaming = replicating(match_index=4)

    for last in (5, 6, 7):
        streaming.on_sent(last, 10)
    assert streaming.next_index == 8
    assert list(streaming.inflight) == [(5, 10), (6, 10), (7, 10)]

    streaming.on_match(6)
    assert list(streaming.inflight) == [(7, 10)]


@pytest.mark.parametrize(("messages_max", "bytes_max"), [(2, 1_000), (1_000, 20)])
def test_a_full_window_pauses_the_pipeline(messages_max, bytes_max):
    """O3: it is bounded in messages and in bytes."""
    streaming = replicating()
    streaming.on_sent(1, 10)
    assert not streaming.is_paused(messages_max, bytes_max)

    streaming.on_sent(2, 10)
    assert streaming.is_paused(messages_max, bytes_max)

    streaming.on_match(1)
    assert not streaming.is_paused(messages_max, bytes_max)


def test_an_append_without_entries_fills_no_window():
    """It asks where the follower stands; nothing of it has to be sent again."""
    streaming = replicating(match_index=4)

    streaming.on_sent(4, 0)

    assert not streaming.inflight
    assert streaming.next_index == 5


def test_going_back_to_probing_starts_from_what_is_known():
    """What was sent behind match_index is probably lost."""
    streaming = replicating(match_index=4)
    streaming.on_sent(9, 10)

    streaming.become_probe()

    assert (streaming.next_index, streaming.probe_due) == (5, True)
    assert (len(streaming.inflight), streaming.inflight_bytes) == (0, 0)


def test_a_snapshot_stops_appends_until_it_is_over():
    """§7: what the follower needs is compacted away, so no append could fit."""
    behind = Progress(3)
    behind.become_snapshot(SNAPSHOT)
    behind.probe_due = True

    assert behind.is_paused(MESSAGES_MAX, BYTES_MAX)

    behind.on_match(7)
    behind.become_replicate()
    assert not behind.is_paused(MESSAGES_MAX, BYTES_MAX)
    assert (behind.next_index, behind.install) == (8, None)


def test_an_old_answer_moves_nothing():
    """D8: match_index never falls, next_index never falls below it."""
    streaming = replicating(match_index=9)

    assert not streaming.on_match(3)
    assert (streaming.match_index, streaming.next_index) == (9, 10)


def test_resuming_a_snapshot_asks_for_its_chunk_anew():
    """Figure 13: what was asked of the driver before is no longer waited for."""
    sending = SnapshotSending(
        SNAPSHOT, 5, acked_offset=10, sent_offset=30, wanted=True, all_sent=True, idle_ticks=9
    )

    sending.resume()

    assert (sending.acked_offset, sending.sent_offset) == (5, 5)
    assert (sending.wanted, sending.all_sent, sending.idle_ticks) == (False, False, 0)


def test_patience_grows_with_every_silence_and_ends_with_it():
    """Figure 13: a slow network still carries what was sent; as much again would choke it."""
    sending = SnapshotSending(SNAPSHOT)
    grown = []
    for _ in range(6):
        sending.resume()
        grown.append(sending.patience)
    assert grown == [2, 4, 8, 16, PATIENCE_MAX, PATIENCE_MAX]

    sending.idle_ticks = 3
    sending.on_acknowledged(7)

    assert (sending.acked_offset, sending.patience, sending.idle_ticks) == (7, 1, 0)


def replicating(match_index: int = 0) -> Progress:
    """A follower that agrees up to there and gets a stream."""
    progress = Progress(match_index + 1, match_index)
    progress.become_replicate()
    return progress
