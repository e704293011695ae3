"""What a KVServer counts of its turns, so that somebody can tell where the time of a put goes.

All of it grows from 0 since the node started: what happened between two looks is the difference.
Times are nanoseconds of the shell's clock, and the shell says what happens: it looks at its clock a
few times a turn, and never for a single frame. A time of frames is summed over frames: a wave of
ten counts ten times, as it does in the mean of what clients see.
"""

from kv.machine import Machine
from messages.client import AskCounters, Counted, Counters
from messages.local import Marks


class ServerCounters:
    """Of waves one is timed at a time; one that leaves while that is on its way is not."""

    def __init__(self) -> None:
        self.heard = 0  # frames from clients in this turn
        self.waiting = 0  # frames that the last turn left waiting for their wave
        self.left_at = 0  # the wave that is timed; 0: none
        self._waiting_since = 0
        self._ready = 0  # frames that leave, if a wave does
        self._began = 0  # this turn; 0: nothing has happened in it
        self._heard_at = 0
        self._left_with = 0  # so many frames
        self._applied_at = 0  # the wave that was applied in this turn
        self._applied_with = 0
        self._turns = self._busy_ns = 0
        self._frames = self._decode_ns = self._gather_ns = 0
        self._waves = self._waves_ns = 0
        self._waved = self._wave_ns = self._apply_ns = self._reply_ns = 0

    def reply(self, request: AskCounters, machine: Machine, marks: Marks) -> Counters:
        """All of them, and what the other actors of this node have counted."""
        operations = ("operations", machine.operations_executed)
        return Counters(request.request_id, (operations, *self.counted(), *marks.counted))

    def counted(self) -> Counted:
        """All of them by name."""
        return (
            ("kvserver_turns", self._turns),
            ("kvserver_busy_ns", self._busy_ns),
            ("frames", self._frames),
            ("frames_decode_ns", self._decode_ns),
            ("frames_gather_ns", self._gather_ns),
            ("frames_waved", self._waved),
            ("frames_wave_ns", self._wave_ns),
            ("frames_apply_ns", self._apply_ns),
            ("frames_reply_ns", self._reply_ns),
            ("waves", self._waves),
            ("waves_ns", self._waves_ns),
        )

    def on_word(self, now: int) -> None:
        """Another actor said something."""
        if not self._began:
            self._began = now

    def on_first_frame(self, now: int) -> None:
        """The first frame from a client in this turn."""
        self._heard_at = now
        if not self._began:
            self._began = now

    def on_flush(self, now: int) -> None:
        """All that waited was handed in; each frame has waited until all of them were read.

        Where nothing was heard and nothing waits, it may be left out.
        """
        self._gather_ns += self.waiting * (now - self._waiting_since)
        self._frames += self.heard
        self._decode_ns += self.heard * (now - self._heard_at)
        self._ready = self.waiting + self.heard
        self._waiting_since = now
        self.heard = 0

    def on_left(self, now: int) -> None:
        """A wave was proposed."""
        if not self.left_at:
            self.left_at = now
            self._left_with = self._ready

    def on_applied(self, began: int, now: int) -> None:
        """The wave that is timed was heard of at `began`, and is applied."""
        self._waves += 1
        self._waves_ns += began - self.left_at
        self._waved += self._left_with
        self._wave_ns += self._left_with * (began - self.left_at)
        self._apply_ns += self._left_with * (now - began)
        self._applied_at, self._applied_with = now, self._left_with
        self.left_at = 0

    def abandon(self) -> None:
        """When the wave on its way comes back, or whether, says nothing."""
        self.left_at = 0

    def on_end(self, now: int) -> None:
        """The turn is over, and its answers have left."""
        if self._applied_with:
            self._reply_ns += self._applied_with * (now - self._applied_at)
            self._applied_with = 0
        if self._began:
            self._turns += 1
            self._busy_ns += now - self._began
            self._began = 0
