"""A client that never waits: `python -m tests.cluster.flooder HOST PORT FILE SECONDS`.

It sends what the file holds again and again, in ZMTP made by hand, so that what it offers costs it
next to nothing; it dials again as often as it is hung up on, and throws away what it is answered.
"""

import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

GREETING = (b"\xff" + bytes(7) + b"\x01\x7f\x03\x01NULL").ljust(64, b"\0")
READY = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
BLOCK_BYTES = 1 << 20
HEARD_BYTES = 1 << 16


def frame_of(body: bytes) -> bytes:
    """One message of one frame, as ZMTP has it."""
    return b"\x02" + len(body).to_bytes(8, "big") + body


def flood(host: str, port: int, block: bytes, until: float) -> None:
    """Send it over one connection for as long as that lives."""
    with socket.create_connection((host, port), timeout=1.0) as line:
        line.sendall(GREETING + bytes([4, len(READY)]) + READY)
        line.settimeout(0)
        left = memoryview(block)
        while time.monotonic() < until:
            with suppress(BlockingIOError):
                if not line.recv(HEARD_BYTES):
                    return
            with suppress(BlockingIOError):
                left = left[line.send(left) :] or memoryview(block)


def main() -> None:
    """Flood until the time is over."""
    host, port, file, seconds = sys.argv[1:]
    frame = frame_of(Path(file).read_bytes())
    block = frame * max(1, BLOCK_BYTES // len(frame))
    until = time.monotonic() + float(seconds)
    while time.monotonic() < until:
        with suppress(OSError):
            flood(host, int(port), block, until)


if __name__ == "__main__":
    main()
