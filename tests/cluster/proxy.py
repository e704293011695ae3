"""Links that lose, delay, double and reorder whole ZMTP messages, or break: a process of its own.

    python -m tests.cluster.proxy '[["1>2", 7202], ...]'

One link stands before one port and carries every connection made to it. Bytes cannot be lost from a
TCP stream, but messages can: ZMTP's greeting and commands always pass, what is between them is cut
into messages, and each meets the link's faults. It listens, prints its links' ports as JSON, then
obeys one order a line on stdin, {"links": [...], "fault": {...}}, each answered by a line with what
these links were given to carry so far. It ends with its stdin.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from random import Random

MORE, LONG, COMMAND = 1, 2, 4
"""Flags of a ZMTP 3 frame."""

GREETING_BYTES = 64
UNSENT_BYTES_MAX = 1 << 22
"""So much waits in a link for a port that does not read; then nothing more is taken."""

LISTEN_HOST = "127.0.0.1"


@dataclass(frozen=True)
class Fault:
    """What a link does to what it carries; as it stands here: nothing."""

    state: str = "up"  # or "lossy": no message passes; "stalled": nothing, later all of it; "down"
    lose: float = 0.0  # the share of messages lost
    double: float = 0.0  # the share that comes twice
    delay_s_min: float = 0.0
    delay_s_max: float = 0.0
    hold: float = 0.0  # the share that comes hold_s later than it would: others overtake it
    hold_s: float = 0.1
    chop_s: float = 0.0  # connections are reset about so often; 0: never


class Link:
    """One port to connect to, before another one."""

    def __init__(self, name: str, target: int) -> None:
        self.fault = Fault()
        self._target = target
        self._random = Random(name)
        self._changed = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self.messages = 0
        self.bytes = 0

    async def listen(self) -> int:
        """Start; the port it listens at."""
        server = await asyncio.start_server(self._on_connection, LISTEN_HOST, 0, backlog=256)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def set(self, fault: Fault) -> None:
        """From now on."""
        self.fault = fault
        self._changed.set()
        self._changed = asyncio.Event()
        if fault.state == "down":
            self._reset()
        if fault.chop_s:
            asyncio.get_running_loop().call_later(self._until_chop(), self._chop, fault)

    async def _on_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        ends = [writer]
        try:
            if self.fault.state == "down":
                return
            there, back = await asyncio.open_connection(LISTEN_HOST, self._target)
            ends.append(back)
            self._open.update(ends)
            pumps = [
                asyncio.ensure_future(self._carry(reader, back)),
                asyncio.ensure_future(self._carry(there, writer)),
            ]
            _, pending = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pending:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        except OSError:
            pass  # nobody listens there: as if nobody did here
        finally:
            self._open.difference_update(ends)
            for end in ends:
                end.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One direction of one connection, until it ends."""
        way = Way(writer, self._random)
        try:
            await self._carry_greeting(reader, writer)
            while True:
                message, is_command = await read_message(reader)
                if not is_command:
                    self.messages += 1
                    self.bytes += len(message)
                await self._passable()
                if self.fault.state == "up" or is_command:
                    way.pass_on(message, Fault() if is_command else self.fault)
                if writer.transport.get_write_buffer_size() > UNSENT_BYTES_MAX:
                    await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            return

    async def _carry_greeting(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """As it comes: either side says the second half after it has heard the first."""
        left = GREETING_BYTES
        while left:
            part = await reader.read(left)
            if not part:
                raise OSError("closed during the greeting")
            await self._passable()
            writer.write(part)
            left -= len(part)

    async def _passable(self) -> None:
        while self.fault.state == "stalled":
            await self._changed.wait()

    def _chop(self, fault: Fault) -> None:
        if self.fault is fault:
            self._reset()
            asyncio.get_running_loop().call_later(self._until_chop(), self._chop, fault)

    def _until_chop(self) -> float:
        return self._random.uniform(0.5, 1.5) * self.fault.chop_s

    def _reset(self) -> None:
        for writer in self._open:
            writer.transport.abort()


class Way:
    """What was decided to pass in one direction of one connection, each message at its time."""

    def __init__(self, writer: asyncio.StreamWriter, random: Random) -> None:
        self._writer = writer
        self._random = random
        self._last_due = 0.0
        self._waiting = 0

    def pass_on(self, message: bytes, fault: Fault) -> None:
        """Let this message meet the faults; those that are not held keep their order."""
        chance = self._random.random
        if fault.lose and chance() < fault.lose:
            return
        for _ in range(2 if fault.double and chance() < fault.double else 1):
            delay_s = self._random.uniform(fault.delay_s_min, fault.delay_s_max)
            loop = asyncio.get_running_loop()
            due = max(loop.time() + delay_s, self._last_due)
            if fault.hold and chance() < fault.hold:
                self._at(due + self._random.uniform(0, fault.hold_s), message)
            elif delay_s or self._waiting:
                self._last_due = due + 1e-6  # a timer knows no order among equals
                self._at(due, message)
            else:
                self._writer.write(message)

    def _at(self, due: float, message: bytes) -> None:
        self._waiting += 1
        asyncio.get_running_loop().call_at(due, self._write_late, message)

    def _write_late(self, message: bytes) -> None:
        self._waiting -= 1
        if not self._writer.is_closing():
            self._writer.write(message)


async def read_message(reader: asyncio.StreamReader) -> tuple[bytes, bool]:
    """All frames of the next message as they came, and whether it is a command."""
    parts: list[bytes] = []
    while True:
        flags = (await reader.readexactly(1))[0]
        size = await reader.readexactly(8 if flags & LONG else 1)
        body = await reader.readexactly(int.from_bytes(size, "big"))
        parts += [bytes([flags]), size, body]
        if not flags & MORE:
            return b"".join(parts), bool(flags & COMMAND)


async def obey(links: dict[str, Link], next_line: Callable[[], Awaitable[bytes]]) -> None:
    """Do one order after the other, until there are no more."""
    known = {field.name for field in fields(Fault)}
    while line := await next_line():
        order = json.loads(line)
        chosen = {name: links[name] for name in order["links"]}
        if order["fault"] is not None:
            assert order["fault"].keys() <= known
            for link in chosen.values():
                link.set(Fault(**order["fault"]))
        counts = {name: (link.messages, link.bytes) for name, link in chosen.items()}
        print(json.dumps(counts), flush=True)


async def main(wanted: list[tuple[str, int]]) -> None:
    """Serve until stdin ends."""
    links = {name: Link(name, target) for name, target in wanted}
    print(json.dumps({name: await link.listen() for name, link in links.items()}), flush=True)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await obey(links, reader.readline)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
