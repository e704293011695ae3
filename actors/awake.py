"""Whether a node that works asks Linux to keep the cores from sleep.

A virtual core with nothing to do sleeps, and is awake again 40 us after it is told to be; a put
waits for some eight of them. Who may open /dev/cpu_dma_latency tells Linux how long that may take,
and with 0 an idle core looks out for work instead (the kernel's pm_qos_interface). This holds until
the file is closed: also when a node is killed, no core stays awake for it
(docs/decisions/0018-cores-kept-awake.md).
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

SHARE = 1 / 16
"""A node that uses so much of all cores' time asks, and stops at half of it: what idle cores look
out for is at most 32 times what the node itself does, and a large machine is never kept awake."""

DEVICE = Path("/dev/cpu_dma_latency")
DRIVER = Path("/sys/devices/system/cpu/cpuidle/current_driver")

VIRTUAL = "haltpoll"
"""How virtual cores sleep. A real one is awake in a microsecond or two; one that looks out instead
takes power and heat from the others."""

NO_LATENCY = bytes(4)  # microseconds, as the machine's int


class Awake:
    """The request of one node; times in seconds never go back."""

    def __init__(
        self,
        cores: int,
        device: Path = DEVICE,
        driver: Path = DRIVER,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        """`used` is what this process did so far; `cores` is how many there are."""
        self.is_choice = may_ask(device, driver)
        self._cores = cores
        self._device = device
        self._clock = clock
        self._used = used
        self._at, self._used_s = clock(), used()
        self._request: int | None = None

    @property
    def is_asking(self) -> bool:
        """Whether cores are kept awake for this node."""
        return self._request is not None

    def look(self, awake_s: float) -> None:
        """Ask, or ask no longer; what was taken to look out for words, in all, is no work."""
        at, used_s = self._clock(), self._used() - awake_s
        share = (used_s - self._used_s) / (at - self._at) / self._cores
        self._at, self._used_s = at, used_s
        if self._request is None and share >= SHARE:
            self._ask()
        elif share < SHARE / 2:
            self.close()

    def close(self) -> None:
        """Let the cores sleep."""
        if self._request is not None:
            os.close(self._request)
            self._request = None

    def _ask(self) -> None:
        with suppress(OSError):  # no descriptor is left, say: all we lose is time
            request = os.open(self._device, os.O_WRONLY)
            try:
                os.write(request, NO_LATENCY)
            except OSError:
                os.close(request)
                raise
            self._request = request


def may_ask(device: Path, driver: Path) -> bool:
    """Whether the cores are virtual ones that sleep, and this process may keep them from it."""
    try:
        is_virtual = driver.read_text().strip() == VIRTUAL
    except OSError:
        return False
    return is_virtual and os.access(device, os.W_OK)
