"""A clerk's connections: how many there may be in one process."""

import resource
from collections.abc import Iterator

import pytest

from actors.lines import Lines
from kv.readcalls import ReadCall
from messages.client import LINEARIZABLE

NOBODY = "127.0.0.1:1"
CLERKS = 1_100
"""More than libzmq has sockets by default."""

DESCRIPTORS = 4 * CLERKS


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """As many as that takes, if this process may have them."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, most))
    except ValueError:
        pytest.skip(f"no more than {most} file descriptors are allowed here")
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.mark.usefixtures("many_descriptors")
def test_a_process_may_have_a_thousand_clerks():
    """Each makes its connection; with libzmq's default the last ones found nobody, for ever."""
    connected: list[int] = []
    clerks = [Lines([NOBODY], connected.append) for _ in range(CLERKS)]
    for clerk in clerks:
        clerk.router.read(LINEARIZABLE, ReadCall(None, b"key", float("inf"), None))
        clerk.decide()
        clerk.speak()
    for clerk in clerks:
        clerk.close()
    assert len(connected) == CLERKS
