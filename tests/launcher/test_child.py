"""One node's process, with a clock of the test's own: when it is started again, and when not."""

import sys

import pytest

from launch.child import Child, Patience, State
from tests.launcher.ground import until

PATIENCE = Patience(stop_s=5.0, delay_s_min=0.2, delay_s_max=1.0, healthy_s=10.0)


@pytest.fixture
def child(tmp_path):
    """A node that does what a line of Python says, and ends with the test."""
    children: list[Child] = []

    def make(line: str) -> Child:
        command = [sys.executable, "-S", "-c", line]
        children.append(Child("node1", command, tmp_path / "node1.log", PATIENCE))
        return children[-1]

    yield make
    for made in children:
        made.kill()
        made.stop(0.0)
        if made.pid:
            ending(made, 0.0)


def ending(child: Child, now: float) -> str:
    """What is said when the process that runs has ended, by that time."""
    said = ""

    def something_is_said():
        nonlocal said
        said = child.turn(now)
        return said

    until(something_is_said, "the end is noticed")
    return said


def test_a_node_that_dies_is_started_again_later_each_time(child):
    """0.2 s, doubling to the bound."""
    node, now = child("raise SystemExit(3)"), 0.0
    node.start(now)
    for delay in ("0.2", "0.4", "0.8", "1", "1"):
        said = ending(node, now)
        assert said == f"node1 ended with exit code 3; it starts again in {delay} s"
        assert node.turn(now + float(delay) - 0.01) == ""
        now += float(delay)
        assert node.turn(now).startswith("node1 starts again, pid ")


def test_a_node_that_is_stopped_before_it_hears_has_stopped(child):
    """Python ends by the signal until the node has said what to do with it."""
    node = child("import signal; signal.pause()")
    node.start(0.0)
    node.stop(0.0)
    assert (ending(node, 0.0), node.state) == ("node1 stopped", State.STOPPED)


def test_a_node_that_was_healthy_begins_with_the_shortest_delay(child):
    """A crash a day is no reason to wait ten seconds."""
    node = child("raise SystemExit(3)")
    node.start(0.0)
    assert "in 0.2 s" in ending(node, 0.0)
    node.turn(0.2)
    assert "in 0.4 s" in ending(node, 1.0)
    node.turn(1.4)
    assert "in 0.2 s" in ending(node, 11.4)


def test_a_node_that_refuses_is_left_alone(child):
    """It would refuse again; its last line says why."""
    node = child(
        "print('one'); print('12:00:00 error reason=port 5 is taken'); raise SystemExit(2)"
    )
    node.start(0.0)
    assert ending(node, 0.0) == "node1 refused to start: port 5 is taken"
    assert node.turn(1000.0) == ""
    assert node.state is State.REFUSED


def test_a_reason_is_found_in_json_too(child):
    """As log_format says."""
    node = child("""print('{"event": "refused", "reason": "no disk"}'); raise SystemExit(2)""")
    node.start(0.0)
    assert ending(node, 0.0) == "node1 refused to start: no disk"


def test_a_node_that_does_not_stop_is_killed_in_time(child):
    """Not before, and only once."""
    node = child(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        " print('deaf', flush=True); signal.pause()"
    )
    node.start(0.0)
    until(lambda: "deaf" in node._log.read_text(), "it ignores SIGTERM")
    node.stop(0.0)
    assert node.turn(4.9) == ""
    assert node.turn(5.0) == "node1 did not stop within 5 s and is killed"
    assert ending(node, 5.1) == "node1 was killed by SIGKILL"
    assert node.state is State.STOPPED


def test_a_node_that_is_wished_back_while_it_stops_comes_back(child):
    """The last wish counts."""
    node = child("import signal; signal.pause()")
    node.start(0.0)
    node.stop(0.0)
    node.start(0.1)
    assert ending(node, 0.2).startswith("node1 starts again")
    node.stop(0.3)
    ending(node, 0.4)
    assert node.state is State.STOPPED


def test_a_command_that_cannot_run_is_tried_again(tmp_path):
    """A full process table may have room in a moment."""
    node = Child("node1", ["/no/such/program"], tmp_path / "node1.log", PATIENCE)
    assert "could not be started: " in node.start(0.0)
    assert node.state is State.WAITING
    assert "it starts again in 0.4 s" in node.turn(0.2)
