"""The log against a plain list: every operation, in any order, and what it must never be asked."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from messages.raft import COMMAND, Entry
from raft.log import ENTRY_OVERHEAD_BYTES, Log


class LogAgainstAList(RuleBasedStateMachine):
    """A list from index 1 on, and two marks in it, say what every answer of the log must be."""

    def __init__(self) -> None:
        super().__init__()
        self.log = Log(0, 0, ())
        self.model: list[Entry | None] = []  # None: under a snapshot, nobody knows what it was
        self.terms = [0]
        self.truncated = self.stable = 0

    @rule(steps=st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=40)), max_size=6))
    def append(self, steps: list[tuple[int, bytes]]) -> None:
        """Entries come behind the last one, their terms never falling."""
        entries = []
        for rise, payload in steps:
            self.terms.append(max(1, self.terms[-1] + rise))
            entries.append(Entry(self.terms[-1], COMMAND, payload))
        self.model += entries
        self.log.append(entries)

    @precondition(lambda self: len(self.model) > self.truncated)
    @rule(data=st.data())
    def truncate(self, data: st.DataObject) -> None:
        """A conflict drops an entry and all behind it; what was durable there is so no longer."""
        first = data.draw(st.integers(self.truncated + 1, len(self.model)))
        del self.model[first - 1 :], self.terms[first:]
        self.stable = min(self.stable, first - 1)
        self.log.truncate_from(first)

    @rule(data=st.data())
    def persist(self, data: st.DataObject) -> None:
        """The disk catches up, in part or whole."""
        self.stable = data.draw(st.integers(self.stable, len(self.model)))
        self.log.stable_index = self.stable

    @precondition(lambda self: self.stable > self.truncated)
    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        """Durable entries may be forgotten."""
        self.truncated = data.draw(st.integers(self.truncated + 1, self.stable))
        self.log.compact_to(self.truncated)

    @rule(ahead=st.integers(1, 9), rise=st.integers(0, 2))
    def reset(self, ahead: int, rise: int) -> None:
        """A snapshot replaces everything."""
        index, term = self.truncated + ahead, self.terms[-1] + rise
        self.model = [None] * index
        self.terms = [0] * index + [term]
        self.truncated = self.stable = index
        self.log.reset(index, term)

    @invariant()
    def knows_its_ends(self) -> None:
        """The marks, and the last entry's term, also where that is compacted away."""
        assert self.log.last_index == len(self.model)
        assert self.log.last_term == self.terms[-1]
        assert self.log.stable_index == self.stable
        assert (self.log.truncated_index, self.log.truncated_term) == (
            self.truncated,
            self.terms[self.truncated],
        )

    @invariant()
    def knows_every_entry(self) -> None:
        """Terms from the compacted place on, entries from the one after it on, nothing else."""
        held = range(self.truncated + 1, len(self.model) + 1)
        assert [self.log.entry_at(index) for index in held] == self.model[self.truncated :]
        known = [self.log.term_at(index) for index in range(len(self.model) + 3)]
        assert known == [None] * self.truncated + self.terms[self.truncated :] + [None, None]

    @rule(data=st.data())
    def cut_a_slice(self, data: st.DataObject) -> None:
        """between, and what it weighs."""
        first = data.draw(st.integers(self.truncated + 1, len(self.model) + 1))
        last = data.draw(st.integers(first - 1, len(self.model)))
        expected = self.model[first - 1 : last]
        assert list(self.log.between(first, last)) == expected
        assert self.log.bytes_between(first - 1, last) == weight(expected)

    @precondition(lambda self: len(self.model) > self.truncated)
    @rule(data=st.data(), bytes_max=st.integers(0, 200))
    def fill_a_message(self, data: st.DataObject, bytes_max: int) -> None:
        """last_within takes as many as fit, but never none."""
        first = data.draw(st.integers(self.truncated + 1, len(self.model)))
        last = data.draw(st.integers(first, len(self.model)))
        fitting = first
        while fitting < last and weight(self.model[first - 1 : fitting + 1]) <= bytes_max:
            fitting += 1
        assert self.log.last_within(first, last, bytes_max) == fitting

    @rule(data=st.data(), term=st.integers(0, 30))
    def look_for_agreement(self, data: st.DataObject, term: int) -> None:
        """last_agreeing is the last place of a term not above; before the log if none is in it."""
        index = data.draw(st.integers(self.truncated, len(self.model) + 5))
        agreeing = [
            place
            for place in range(self.truncated, min(index, len(self.model)) + 1)
            if self.terms[place] <= term
        ]
        assert self.log.last_agreeing(index, term) == max(agreeing, default=self.truncated - 1)


LogAgainstAList.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestLogAgainstAList = LogAgainstAList.TestCase


def test_a_log_that_was_loaded_is_durable():
    """D2: what was found on the disk needs no writing; the terms go on from the compacted one."""
    loaded = log(3, 3, behind=(10, 2))

    assert (loaded.truncated_index, loaded.stable_index, loaded.last_index) == (10, 12, 12)
    assert loaded.term_at(10) == 2
    assert log(behind=(10, 2)).last_term == 2


def test_an_empty_entry_weighs_something():
    """O3: or a log of empty entries would be bounded by nothing."""
    assert log(1, 1).bytes_between(0, 2) == 2 * ENTRY_OVERHEAD_BYTES


def test_weights_survive_compaction():
    """O3: sums over the entries that are left do not count those that are gone."""
    long = Log(0, 0, [Entry(1, COMMAND, bytes(size)) for size in (5, 7, 9)])

    long.compact_to(1)

    assert long.bytes_between(1, 3) == 7 + 9 + 2 * ENTRY_OVERHEAD_BYTES


def test_a_hint_skips_a_whole_term():
    """§5.3: with many entries of one conflicting term, one exchange is enough."""
    follower = log(1, 1, 2, 2, 2, 2, 2)
    leader = log(1, 1, 1, 1, 3, 3, 3, 3)

    hint = follower.last_agreeing(7, 3)
    assert leader.last_agreeing(hint, 2) == 4, "the last place whose term is not above 2"
    assert follower.last_agreeing(4, 1) == 2, "where both hold term 1"


@pytest.mark.parametrize("term", [0, 1])
def test_terms_never_fall(term):
    """§5.3: such a log could not have come from leaders that followed one another."""
    with pytest.raises(AssertionError):
        log(1, 2).append([Entry(term, COMMAND, b"")])
    with pytest.raises(AssertionError):
        log(term, behind=(10, 2))


@pytest.mark.parametrize("first", [0, 2, 5])
def test_what_is_compacted_or_not_there_cannot_be_truncated(first):
    """D7: a conflict below the compacted place would be one with committed entries."""
    short = log(1, 1, behind=(2, 1))

    with pytest.raises(AssertionError):
        short.truncate_from(first)


@pytest.mark.parametrize("index", [1, 2, 4])
def test_only_durable_entries_can_be_compacted(index):
    """D11: what only memory holds would be lost by a crash."""
    short = log(1, behind=(2, 1))
    short.append([Entry(1, COMMAND, b"")])

    with pytest.raises(AssertionError):
        short.compact_to(index)


@pytest.mark.parametrize("index", [0, 2, 4])
def test_an_entry_that_is_not_held_cannot_be_read(index):
    """Out of bounds is our bug, never an entry of another place."""
    short = log(1, behind=(2, 1))

    with pytest.raises(AssertionError):
        short.entry_at(index)
    with pytest.raises(AssertionError):
        short.between(index, max(index, 3))


def test_a_log_never_starts_anew_earlier_than_it_does():
    """D11: an older snapshot must not bring back what was already forgotten."""
    with pytest.raises(AssertionError):
        log(1, behind=(2, 1)).reset(2, 1)


def log(*terms: int, behind: tuple[int, int] = (0, 0)) -> Log:
    """A log of empty commands of these terms, behind a compacted index and term."""
    return Log(*behind, [Entry(term, COMMAND, b"") for term in terms])


def weight(entries: list[Entry | None]) -> int:
    """What these entries weigh, counted one by one."""
    return sum(len(entry.payload) + ENTRY_OVERHEAD_BYTES for entry in entries if entry)
