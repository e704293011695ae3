"""The loop that every actor runs: poll, take what waits, tick, step the brain, flush.

Batching falls out of it: the busier a node is, the more each turn does. Nothing waits for a batch
to fill, and nothing sleeps while something waits.
"""

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import zmq
from zmq.backend import zmq_poll

from actors.sockets import Socket, option_of, receive_frame, send_frame
from actors.vigil import Vigil

Handle = Callable[[list[bytes]], None]

DRAIN_BYTES_MAX = 134_217_728
"""Taken from one socket in a turn; the rest waits for the next turn."""

MESSAGE_BYTES = 8_192
"""What a message counts beside its last frame, so that the bound holds back many small ones too."""

WAITED_S = 0.000_03
"""Who waited for so long, on a quiet node, was woken by a message that is mostly the only one."""

_AT_ONCE, _MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)
_READABLE, _EVENTS = int(zmq.POLLIN), int(zmq.EVENTS)


class Brain(Protocol):
    """What an actor runs on its thread; it may use its sockets and nothing of another actor."""

    expects_more: bool
    """Whether the next word is likely to come sooner than a thread that sleeps is woken."""

    def sockets(self) -> dict[Socket, Callable[[list[bytes]], None]]:
        """What to listen to, and who takes the frames."""

    def tick(self) -> None:
        """One tick of time has passed."""

    def flush(self) -> None:
        """All that waited was handed in: send what came out."""

    def on_flood(self, at: Socket) -> None:
        """More waits there than a turn takes; its sockets may be others when this returns."""

    def wait_ms(self, until_tick_ms: int) -> int:
        """How long to wait for something to come; ticks that pass in it are handed in together."""

    def is_done(self) -> bool:
        """Asked at the end of each turn once it is to stop; until then it goes on."""

    def close(self) -> None:
        """The loop is over."""


class Actor:
    """A thread that runs one brain; how it ended is told to the supervisor (O5)."""

    def __init__(
        self, name: str, make: Callable[[], Brain], tick_s: float, on_end: Callable[[str], None]
    ) -> None:
        self.name = name
        self.failure: BaseException | None = None
        self._make = make
        self._tick_s = tick_s
        self._on_end = on_end
        self._stopping = False
        self.vigil = Vigil()
        self.is_quiet = False  # told by whoever looks at the cores: this node has little to do
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin; the brain and its sockets are made on the thread that uses them."""
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Let the turn end and close; says whether it did in time."""
        self._stopping = True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            brain = self._make()
            try:
                self._loop(brain)
            finally:
                brain.close()
        except BaseException as failure:  # noqa: BLE001 - whatever it is, the node must end (O5)
            self.failure = failure
        self._on_end(self.name)

    def _loop(self, brain: Brain) -> None:
        handlers, routers, waiting = listen(brain)
        tick_due = time.monotonic() + self._tick_s
        while not (self._stopping and brain.is_done()):
            asked_at = time.monotonic()
            ready = self._wait(brain, waiting, tick_due, asked_at)
            is_alone = self.is_quiet and time.monotonic() - asked_at > WAITED_S
            taken, flooded = [], []
            for at, _ in ready:
                messages, is_below = drain(at, has_address=at in routers, is_alone=is_alone)
                taken.append((handlers[at], messages))
                if not is_below:
                    flooded.append(at)
            # Not before: what was sent while we stood still must not count from before that (R2).
            # Every tick that passed, also those of a pause: leases count on them.
            now = time.monotonic()
            while tick_due <= now:
                brain.tick()
                tick_due += self._tick_s
            for handle, messages in taken:
                for frames in messages:
                    handle(frames)
            brain.flush()
            if flooded:
                for at in flooded:
                    brain.on_flood(at)
                handlers, routers, waiting = listen(brain)

    def _wait(
        self, brain: Brain, waiting: list[tuple[Any, int]], tick_due: float, now: float
    ) -> list[tuple[Any, int]]:
        """Where something waits, or nothing at a tick; who expects a word looks out before.

        On a quiet node only: a busy one has others for the core and for the interpreter.
        """
        ready: list[tuple[Any, int]] = []
        if self.is_quiet and brain.expects_more:
            ready = self.vigil.keep(partial(zmq_poll, waiting, 0))
            now = time.monotonic()  # others may have had the core for long
        if not ready:
            until_tick_ms = max(0, int((tick_due - now) * 1000) + 1)
            ready = zmq_poll(waiting, brain.wait_ms(until_tick_ms))
        return ready


def listen(brain: Brain) -> tuple[dict[Any, Handle], set[Any], list[tuple[Any, int]]]:
    """Who takes what arrives at a brain's sockets, which are ROUTERs, what zmq_poll looks at."""
    handlers = brain.sockets()
    routers = {socket for socket in handlers if socket.getsockopt(zmq.TYPE) == zmq.ROUTER}
    return dict(handlers), routers, [(socket, _READABLE) for socket in handlers]


def drain(
    socket: Socket, *, has_address: bool, is_alone: bool = False
) -> tuple[list[list[bytes]], bool]:
    """All that waits there, up to a bound so that ticks go on; and whether it stayed below that.

    One that is alone is taken without a look for others: should any be there, the next turn begins
    at once. A look at EVENTS is a system call, an exception costs as much as two: one look, for
    most often there is one message, then all the others until there is none.
    """
    taken: list[list[bytes]] = []
    size = 0
    try:
        while size < DRAIN_BYTES_MAX:
            frames = [receive_frame(socket, _AT_ONCE)] if has_address else []
            is_more = True  # an address never comes alone
            while is_more:
                found = receive_frame(socket, _AT_ONCE, copy=False)  # knows if more follow
                frames.append(found.bytes)
                is_more = found.more
            taken.append(frames)
            if not size and (is_alone or not option_of(socket, _EVENTS) & _READABLE):
                return taken, True
            size += MESSAGE_BYTES + sum(map(len, frames))
    except zmq.Again:
        return taken, True
    return taken, False


def tell(socket: Socket, frames: list[bytes]) -> None:
    """Send to an actor of this node; never lost while that lives, and without it the node ends."""
    try:
        _send_all(socket, frames)
    except zmq.ZMQError as error:
        if error.errno != zmq.EHOSTUNREACH:
            raise


def send(socket: Socket, frames: list[bytes]) -> bool:
    """Send or lose: a full queue or an absent peer is loss, and whoever needs it asks again."""
    try:
        _send_all(socket, frames)
    except zmq.ZMQError as error:
        if error.errno in (zmq.EAGAIN, zmq.EHOSTUNREACH):
            return False
        raise
    return True


def _send_all(socket: Socket, frames: list[bytes]) -> None:
    for frame in frames[:-1]:
        send_frame(socket, frame, _MORE)
    send_frame(socket, frames[-1], _AT_ONCE)
