"""One node as a subprocess: started, signalled, and started again with back-off when it dies."""

import signal
import subprocess
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from launch.logs import last_reason

REFUSED_CODE = 2
"""A node that exits so will not do better next time: a taken port, another cluster's data, ..."""

STOPPED_CODES = {0, -signal.SIGTERM}
"""Of a node that was asked to stop; one that only just starts does not hear it as a wish yet."""


class State(Enum):
    """What has become of a node, as `launcher.py` says it."""

    STOPPED = "stopped"  # by wish, until it is started
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    WAITING = "waiting"  # it died, and is started again in a moment
    REFUSED = "refused"  # to start, and said why


SENSIBLE = {
    "kill": {State.RUNNING, State.PAUSED, State.STOPPING},
    "pause": {State.RUNNING},
    "resume": {State.PAUSED},
}
"""In which states a verb makes sense; any other verb does in all of them."""


class Patience(NamedTuple):
    """How long to wait for what, in seconds."""

    stop_s: float  # then it is killed
    delay_s_min: float  # before it is started again; doubles
    delay_s_max: float
    healthy_s: float  # having run for so long, it begins with the shortest delay again


class Child:
    """A node and its process; methods that say something return it as a line for people."""

    def __init__(self, name: str, command: Sequence[str], log: Path, patience: Patience) -> None:
        self.name = name
        self.state = State.STOPPED
        self.reason = ""  # of the last end that nobody wished
        self.starts = 0
        self._command = command
        self._log = log
        self._patience = patience
        self._process: subprocess.Popen[bytes] | None = None
        self._delay_s = patience.delay_s_min
        self._started_at = 0.0
        self._due_at = 0.0  # to be killed while STOPPING, to be started while WAITING
        self._start_again = False

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process else None

    def start(self, now: float) -> str:
        """Start it by wish, with the shortest delay for what may follow."""
        if self._process:
            self._start_again = True  # matters only to one that is stopping
            return f"{self.name} runs already, or starts again when it has stopped"
        self._delay_s = self._patience.delay_s_min
        return self._spawn(now)

    def stop(self, now: float) -> str:
        """Ask it to stop; it stays stopped."""
        self._start_again = False
        if not self._process:
            self.state = State.STOPPED
            return f"{self.name} is stopped"
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)  # paused, it would not hear the wish
        self.state = State.STOPPING
        self._due_at = now + self._patience.stop_s
        return f"{self.name} is asked to stop"

    def restart(self, now: float) -> str:
        """Stop it, and start it as soon as it has stopped."""
        if not self._process:
            return self.start(now)
        self.stop(now)
        self._start_again = True
        return f"{self.name} is asked to stop and start again"

    def can(self, verb: str) -> bool:
        """Whether the verb makes sense now."""
        return self.state in SENSIBLE.get(verb, State)

    def kill(self) -> str:
        """End it without a word, as a crash would."""
        self._signal(signal.SIGKILL)
        return ""  # turn() tells how it ended

    def pause(self) -> str:
        """Let it hang, as a machine under strain would."""
        self._signal(signal.SIGSTOP)
        self.state = State.PAUSED
        return f"{self.name} is paused"

    def resume(self) -> str:
        """Let it go on."""
        self._signal(signal.SIGCONT)
        self.state = State.RUNNING
        return f"{self.name} goes on"

    def turn(self, now: float) -> str:
        """Notice its end, and do what is due; the line is empty when nothing happened."""
        if self._process and (code := self._process.poll()) is not None:
            self._process = None
            return self._on_end(code, now)
        if self.state is State.STOPPING and now >= self._due_at:
            self._due_at = float("inf")
            self._signal(signal.SIGKILL)
            return f"{self.name} did not stop within {self._patience.stop_s:g} s and is killed"
        if self.state is State.WAITING and now >= self._due_at:
            return self._spawn(now)
        return ""

    def _on_end(self, code: int, now: float) -> str:
        if self.state is State.STOPPING:
            if self._start_again:
                return self.start(now)
            self.state = State.STOPPED
            as_wished = code in STOPPED_CODES
            return f"{self.name} stopped" if as_wished else f"{self.name} {_how_it_ended(code)}"
        if code == REFUSED_CODE:
            self.state = State.REFUSED
            self.reason = last_reason(self._log) or "it gave no reason"
            return f"{self.name} refused to start: {self.reason}"
        if now - self._started_at >= self._patience.healthy_s:
            self._delay_s = self._patience.delay_s_min
        return self._wait(_how_it_ended(code), now)

    def _spawn(self, now: float) -> str:
        self.starts += 1
        self._started_at = now
        try:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - it is our own command
                    self._command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # Ctrl-C is for the supervisor, which stops it in order
                )
        except OSError as error:
            return self._wait(f"could not be started: {error}", now)
        self.state = State.RUNNING
        again = " again" if self.starts > 1 else ""
        return f"{self.name} starts{again}, pid {self._process.pid}"

    def _wait(self, reason: str, now: float) -> str:
        delay_s = self._delay_s
        self.state = State.WAITING
        self.reason = reason
        self._due_at = now + delay_s
        self._delay_s = min(2 * delay_s, self._patience.delay_s_max)
        return f"{self.name} {reason}; it starts again in {delay_s:g} s"

    def _signal(self, number: signal.Signals) -> None:
        """Popen sends nothing to a process that has ended, whoever has its pid now."""
        if self._process:
            self._process.send_signal(number)


def _how_it_ended(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
