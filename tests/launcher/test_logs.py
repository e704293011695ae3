"""Log files: bounded while somebody writes to them, and read from their end."""

import json

from actors.log import Log
from launch.logs import Tail, bound_log, merged


def test_a_full_log_begins_anew_and_the_one_before_is_kept(tmp_path):
    """Whoever has it open to append goes on at its new beginning."""
    log = tmp_path / "node1.log"
    with log.open("a") as writer:
        print("x" * 100, file=writer, flush=True)
        bound_log(log, 1_000)
        assert not (tmp_path / "node1.log.1").exists()
        bound_log(log, 100)
        print("after", file=writer, flush=True)
    assert (tmp_path / "node1.log.1").read_text() == "x" * 100 + "\n"
    assert log.read_text() == "after\n"


def test_a_tail_begins_some_lines_before_the_end(tmp_path):
    """Or at the beginning, or with what comes."""
    log = tmp_path / "node1.log"
    log.write_text("one\ntwo\nthree\n")
    assert list(Tail(log, 2).new_lines()) == ["two", "three"]
    assert list(Tail(log, 9).new_lines()) == ["one", "two", "three"]
    assert list(Tail(log, 0).new_lines()) == []
    assert list(Tail(tmp_path / "none.log", 9).new_lines()) == []


def test_a_tail_gives_whole_lines_as_they_come(tmp_path):
    """Half a line waits for its end; a file that begins anew is read from there."""
    log = tmp_path / "node1.log"
    log.write_text("old\n")
    tail = Tail(log, 0)
    with log.open("a") as writer:
        writer.write("half")
        writer.flush()
        assert list(tail.new_lines()) == []
        writer.write(" a line\n")
    assert list(tail.new_lines()) == ["half a line"]
    log.write_text("new\n")
    assert list(tail.new_lines()) == ["new"]


def test_what_nobody_knows_is_null_or_left_out(capsys):
    """A follower without a leader says nothing of one."""
    for form in ("human", "json"):
        Log("node1", "info", form).event("became", role="follower", leader=None, term=1)
    human, as_json = capsys.readouterr().err.splitlines()
    assert human.endswith("info    node1 became role=follower term=1")
    facts = json.loads(as_json)
    assert (facts["event"], facts["leader"], facts["term"]) == ("became", None, 1)


def test_logs_are_merged_in_the_order_of_time(tmp_path):
    """In either form; a trace stays behind the line it belongs to."""
    a, b = tmp_path / "a.log", tmp_path / "b.log"
    a.write_text("2026-01-01T10:00:00.001Z error   a failed\n    trace\n")
    with a.open("a") as log:
        log.write("2026-01-01T10:00:00.009Z info    a last\n")
    b.write_text('{"time": "2026-01-01T10:00:00.005Z", "event": "x"}\n')
    tails = {name: Tail(tmp_path / f"{name}.log", 9) for name in "ab"}

    assert [(name, line.split()[-1]) for name, line in merged(tails)] == [
        ("a", "failed"),
        ("a", "trace"),
        ("b", '"x"}'),
        ("a", "last"),
    ]
    assert merged(tails) == []
