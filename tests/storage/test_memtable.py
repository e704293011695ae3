"""What is in memory until it is flushed, and how it is taken out for that."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from storage.memtable import SAMPLE_STEP, Memtable


@given(st.dictionaries(st.binary(min_size=1, max_size=3), st.none() | st.binary(max_size=2)))
def test_its_parts_are_all_of_it_in_order(values):
    """Whatever the keys are, and however they came."""
    memtable = Memtable()
    for key, value in values.items():
        memtable.put(key, value)
    assert [key for part in memtable.parts(SAMPLE_STEP) for key in part] == sorted(values)


def test_a_part_is_about_as_large_as_was_asked_for():
    """However many there are: sorting one is to hold nobody up."""
    memtable = Memtable()
    for number in Random(1).sample(range(50_000), 50_000):
        memtable.put(b"%06d" % number, b"")
    sizes = [len(part) for part in memtable.parts(1_000)]
    assert sum(sizes) == 50_000
    assert 40 <= len(sizes) <= 60
    assert max(sizes) < 4_000


def test_fewer_keys_than_a_sample_takes_are_one_part():
    """None, or some."""
    memtable = Memtable()
    assert list(memtable.parts(1_000)) == [[]]
    memtable.put(b"b", b"2")
    memtable.put(b"a", None)
    assert list(memtable.parts(1_000)) == [[b"a", b"b"]]
