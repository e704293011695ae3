"""What is measured is added up rightly."""

from collections import Counter

from bench.tally import Measured, line_of, merged, percentile_ms


def test_percentiles_are_those_of_the_sorted_times():
    """The p-th is the time of the operation at that place, the last one for all."""
    spent = Counter({microseconds * 1000: 1 for microseconds in range(1, 101)})

    assert [percentile_ms(spent, share) for share in (0.0, 0.5, 0.99, 1.0)] == [1, 50, 99, 100]
    assert percentile_ms(Counter(), 0.5) == 0


def test_a_line_counts_the_time_from_the_beginning_to_the_last_success():
    """So a run that waits for one slow operation is no faster for it."""
    line = line_of(Measured(10.0, 12.0, 0.5, 3, [Counter({2000: 10})], 0.25))

    assert (line["ops"], line["failed"], line["seconds"], line["per_s"]) == (10, 3, 2.0, 5.0)
    assert (line["p50_ms"], line["pause_ms"], line["client_cpu_s"]) == (2.0, 500.0, 0.25)
    assert "minutes" not in line


def test_a_long_run_tells_each_whole_minute():
    """So that the last can be held against the first."""
    minutes = [Counter({1000: 600}), Counter({2000: 300}), Counter({9000: 1})]

    line = line_of(Measured(0.0, 121.0, 0.0, 0, minutes, 0.0))

    assert line["ops"] == 901
    assert line["minutes"] == [{"per_s": 10.0, "p99_ms": 1.0}, {"per_s": 5.0, "p99_ms": 2.0}]


def test_processes_are_told_as_one():
    """From the first beginning to the last end, minute by minute."""
    one = Measured(1.0, 5.0, 0.1, 1, [Counter({1000: 2}), Counter({1000: 1})], 1.0)
    other = Measured(1.5, 6.0, 0.3, 2, [Counter({1000: 1, 3000: 1})], 2.0)

    whole = merged([one, other])

    minutes = [Counter({1000: 3, 3000: 1}), Counter({1000: 1})]
    assert whole == Measured(1.0, 6.0, 0.3, 3, minutes, 3.0)
