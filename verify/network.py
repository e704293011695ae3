"""The wires: what is sent may be late, lost, repeated, overtaken, or cut off one way or both."""

from collections.abc import Callable, Iterable

from messages.codec import decode, encode
from messages.raft import InstallSnapshot, Message
from verify.timeline import Timeline

Link = tuple[int, int]
"""From one server to another; the way back is a link of its own."""


class Network:
    """Takes messages, and hands over what arrives."""

    def __init__(self, timeline: Timeline, receive: Callable[[Message], None]) -> None:
        self._timeline = timeline
        self._receive = receive
        self._random = timeline.random.random
        self._cuts: list[frozenset[Link]] = []
        self._cut: frozenset[Link] = frozenset()
        self._last_arrival: dict[Link, int] = {}

    def send(self, messages: Iterable[Message]) -> None:
        """Send each message on its way, or lose it."""
        swarm, facts, random = self._timeline.swarm, self._timeline.facts, self._random
        loss, duplicate = swarm.loss, swarm.duplicate
        for message in messages:
            facts["messages"] += 1
            if (self._cut and message[1:3] in self._cut) or (loss and random() < loss):
                facts["lost messages"] += 1
                self._timeline.note(message.source, "lost:", message)
                continue
            if type(message) is InstallSnapshot and random() < swarm.corrupt:
                message = _corrupted(message)  # noqa: PLW2901 - what travels on is this one
                facts["corrupted chunks"] += 1
            self._dispatch(message)
            if duplicate and random() < duplicate:
                self._dispatch(message)
                facts["repeated messages"] += 1

    def cut(self, links: Iterable[Link]) -> frozenset[Link]:
        """Nothing passes these links any more; give the answer to mend()."""
        links = frozenset(links)
        self._cuts.append(links)
        self._cut |= links
        return links

    def mend(self, links: frozenset[Link]) -> None:
        """One cut is over; another may still hold some of its links."""
        if links in self._cuts:  # it may have been mended with all others
            self._cuts.remove(links)
        self._cut = frozenset[Link]().union(*self._cuts)

    def mend_all(self) -> None:
        """All cuts are over."""
        self._cuts.clear()
        self._cut = frozenset()

    def _dispatch(self, message: Message) -> None:
        swarm, random = self._timeline.swarm, self._random
        delay = swarm.delay_units + int(random() * swarm.delay_spread_units)
        if swarm.straggler and random() < swarm.straggler:
            delay *= 10
        if swarm.in_order:
            link = message[1:3]
            arrival = max(self._timeline.now + delay, self._last_arrival.get(link, 0))
            self._last_arrival[link] = arrival
            delay = arrival - self._timeline.now
        self._timeline.after(delay, self._arrive, message)

    def _arrive(self, message: Message) -> None:
        if self._timeline.swarm.codec:
            frame = encode(message)
            copy = decode(frame)
            assert copy == message, f"codec: {message} became {copy}"
            message = copy
        self._receive(message)


def _corrupted(message: InstallSnapshot) -> InstallSnapshot:
    """The chunk with its last byte changed."""
    if not message.data:
        return message
    return message._replace(data=message.data[:-1] + bytes([message.data[-1] ^ 1]))
