"""Changes on their way through the log: whose frame lies in which entry, and how much may wait.

gathered   frames for the next batch
unplaced   proposed to Raft, which has not said at which index
placed     at an index; answered when that index is committed with our term
"""

from collections.abc import Iterator
from typing import NamedTuple

from kv.company import Company
from messages.batch import BATCH_BYTES_MAX, FRAMES_MAX

WAVE_MS_MAX = 50
"""What comes while a wave is on its way gathers for the next one, but no longer than this.

What threads, sockets and disks do for a wave is shared by all in it: from 64 clients half as many
writes again. But a distant majority or a slow disk must not hold up what is new.
"""

WAVE_BYTES_MAX = 4 * 1024 * 1024
"""On their way at a time; what is more waits for its turn, unless it is a single frame.

An actor handles what waits in one turn and hears nobody meanwhile: 64 MiB at once kept leaders from
sending heartbeats for longer than an election timeout, again and again.
"""


class Waiting(NamedTuple):
    """A frame whose answer is due, to whom, and what a refusal of it must name."""

    client: bytes
    session: int
    number: int
    size: int


class Placed(NamedTuple):
    """Frames that share an entry, and the term it was proposed in."""

    term: int
    frames: tuple[Waiting, ...]


Gathered = list[tuple[Waiting, bytes]]


class Proposals:
    """Every frame that was let in and not answered, exactly once in one of the three places."""

    def __init__(self, bytes_max: int, client_frames_max: int) -> None:
        self._bytes_max = bytes_max
        self._client_frames_max = client_frames_max
        self._gathered: Gathered = []
        self._unplaced: dict[int, tuple[Waiting, ...]] = {}
        self._placed: dict[int, Placed] = {}
        self.bytes_waiting = 0
        self._frames_of: dict[bytes, int] = {}
        self.is_holding = False  # a wave waits for those who were just answered
        self._company = Company()
        self._answered: set[bytes] = set()  # of the waves that are settled by now
        self._left_ms = 0  # when the last wave left

    def may_leave(self, now_ms: int) -> bool:
        """Whether the next wave may leave: the last is settled or takes too long, nobody is due."""
        self.is_holding = False
        if self._unplaced or self._placed:
            return now_ms - self._left_ms >= WAVE_MS_MAX
        if self._answered:
            self._company.begin(self._answered, self._frames_of, now_ms)
            self._answered = set()
        if self._gathered:
            self.is_holding = self._company.keeps_waiting(self.bytes_waiting, now_ms)
        return not self.is_holding

    def heard(self, client: bytes) -> None:
        """That client asks for something, be it no write: no wave waits for it any more."""
        self._company.on_frame(client)

    @property
    def gathered(self) -> int:
        """Frames that wait for the next wave."""
        return len(self._gathered)

    def has_room(self, client: bytes, size: int) -> bool:
        """Whether one more frame may wait; beyond either bound the clerk is told to back off.

        Where nothing waits any frame may: one larger than the bound would else be refused for ever.
        """
        fits = not self.bytes_waiting or self.bytes_waiting + size <= self._bytes_max
        return fits and self._frames_of.get(client, 0) < self._client_frames_max

    def gather(self, waiting: Waiting, frame: bytes) -> None:
        """Let it in; it leaves with the next wave."""
        self.bytes_waiting += waiting.size
        self._frames_of[waiting.client] = self._frames_of.get(waiting.client, 0) + 1
        self._gathered.append((waiting, frame))

    def batches(self, now_ms: int) -> Iterator[Gathered]:
        """The next wave, in as few batches as their bounds allow."""
        wave = self._next_wave()
        if wave:
            self._left_ms = now_ms
            self._answered.clear()  # they had the chance to be in it
        batch: Gathered = []
        size = 0
        for waiting, frame in wave:
            if batch and (size + waiting.size > BATCH_BYTES_MAX or len(batch) == FRAMES_MAX):
                yield batch
                batch, size = [], 0
            batch.append((waiting, frame))
            size += waiting.size
        if batch:
            yield batch

    def propose(self, number: int, batch: Gathered) -> None:
        """This batch was proposed under that number."""
        self._unplaced[number] = tuple(waiting for waiting, _ in batch)

    def place(self, number: int, term: int, index: int) -> None:
        """Its entry lies there, unless another term overwrites it."""
        frames = self._unplaced.pop(number, ())
        if frames:
            self._placed[index] = Placed(term, frames)

    def refused(self, number: int) -> tuple[Waiting, ...]:
        """Raft did not take that proposal: whom to tell."""
        return self._settled(self._unplaced.pop(number, ()))

    def committed(self, index: int, term: int) -> tuple[tuple[Waiting, ...], bool]:
        """Who waits for that entry, and whether it is the one that was proposed here."""
        placed = self._placed.pop(index, None)
        if placed is None:
            return (), True
        is_ours = placed.term == term
        if is_ours:
            self._answered.update([waiting.client for waiting in placed.frames])
        return self._settled(placed.frames), is_ours

    def drop_gathered(self) -> tuple[Waiting, ...]:
        """Leadership is lost, and these were never proposed: whom to tell."""
        gathered, self._gathered = self._gathered, []
        self._company = Company()
        return self._settled(tuple(waiting for waiting, _ in gathered))

    def abandon(self) -> tuple[Waiting, ...]:
        """Leadership is lost, what becomes of the proposals is not known: whom to tell."""
        unplaced = [waiting for frames in self._unplaced.values() for waiting in frames]
        placed = [waiting for found in self._placed.values() for waiting in found.frames]
        self._unplaced.clear()
        self._placed.clear()
        return self._settled((*unplaced, *placed))

    def _next_wave(self) -> Gathered:
        """Of what was gathered as much, from the first on, as may be on its way."""
        if self.bytes_waiting <= WAVE_BYTES_MAX:
            wave, self._gathered = self._gathered, []
            return wave
        is_first = not (self._unplaced or self._placed)
        size = self.bytes_waiting - sum(waiting.size for waiting, _ in self._gathered)
        count = 0
        for waiting, _ in self._gathered:
            size += waiting.size
            if size > WAVE_BYTES_MAX and (count or not is_first):
                break
            count += 1
        wave, self._gathered = self._gathered[:count], self._gathered[count:]
        return wave

    def _settled(self, frames: tuple[Waiting, ...]) -> tuple[Waiting, ...]:
        for waiting in frames:
            self.bytes_waiting -= waiting.size
            left = self._frames_of[waiting.client] - 1
            if left:
                self._frames_of[waiting.client] = left
            else:
                del self._frames_of[waiting.client]
        return frames
