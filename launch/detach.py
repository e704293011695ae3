"""`up --detach`: a supervisor in a session of its own that tells once how its start went."""

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

ARGUMENT = "--told-fd"
"""Of a detached supervisor: the file descriptor it tells on."""


def start_detached(command: Sequence[str], log: Path) -> tuple[int, str]:
    """Its exit code (0: it goes on running), and why it did not get the cluster to serve."""
    reading, writing = os.pipe()
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603 - it is our own command
            [*command, ARGUMENT, str(writing)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            pass_fds=[writing],
            start_new_session=True,
        )
    os.close(writing)
    try:
        with os.fdopen(reading) as told:
            line = told.readline()  # it ends with the supervisor, if not before
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    if line == "\n":
        process.returncode = 0  # it outlives us on purpose, which Popen would warn of
        return 0, ""
    code = process.wait()
    return code or 1, line.strip() or f"the supervisor ended with exit code {code}, see {log}"


def teller(descriptor: int) -> Callable[[str], None]:
    """Tells whoever started this process how it went, if it still listens; to be called once."""

    def tell(reason: str) -> None:
        try:
            with os.fdopen(descriptor, "w") as parent:
                parent.write(reason.replace("\n", " ") + "\n")
        except BrokenPipeError:
            pass

    return tell
