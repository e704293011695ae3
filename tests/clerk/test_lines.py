"""A clerk's connections: how many there may be in one process, and what ends that."""

import resource
import subprocess
import sys
from collections.abc import Iterator

import pytest

from actors.lines import Lines
from kv.outcomes import Why
from kv.readcalls import ReadCall
from messages.client import LINEARIZABLE
from tests.cluster.harness import DEADLINE_S
from tests.cluster.links import ROOT

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


WITHOUT_DESCRIPTORS = """
import asyncio, os, resource
from contextlib import suppress
from kvorum import AsyncClerk, Clerk, NotApplied, Unavailable

def use_up():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, most))
    with suppress(OSError):
        while True:
            os.dup(0)

async def ask(clerks, call):
    for clerk in clerks:
        use_up()
        try:
            await call(clerk)
        except Unavailable:
            continue  # a descriptor came free just then, and nobody is there
        except NotApplied as error:
            return print(error.reason)

async def main():
    of_loop = [AsyncClerk("127.0.0.1:1", timeout=0.2) for _ in range(9)]
    of_threads = [Clerk("127.0.0.1:1", timeout=0.2) for _ in range(18)]
    with suppress(Unavailable):
        of_threads[0].get("k")  # libzmq ends a process that cannot start its threads
    await ask(of_loop, lambda clerk: clerk.get("k"))
    await ask(of_threads[1:9], lambda clerk: clerk.put("k", "v"))
    await ask(of_threads[9:], lambda clerk: asyncio.wrap_future(clerk.put_async("k", "v")))

asyncio.run(main())
"""


def test_without_file_descriptors_a_call_says_so():
    """At once; not after its timeout, as if nobody led."""
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_DESCRIPTORS],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert found.stdout.splitlines() == 3 * [Why.NO_DESCRIPTOR.value], found.stderr
