"""Whether a node that works asks Linux to keep the cores from sleep.

A virtual core with nothing to do sleeps, and is awake again 40 us after it is told to be; a put
waits for some eight of them. Who may open /dev/cpu_dma_latency tells Linux how long that may take,
and with 0 an idle core looks out for work instead (the kernel's pm_qos_interface). This holds until
the file is closed, which the end of a process does too: none that was killed keeps a core awake
(docs/decisions/0018-cores-kept-awake.md).
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

SHARE_MIN, SHARE_REST = 1 / 16, 1 / 20
"""A node that uses so much of all cores' time asks, and with less than the second no longer: idle
cores look out for twenty times what the node does at most, and those of many hardly ever. On
two cores a node at rest takes less than a third of that (docs/decisions/0014)."""

DEVICE = Path("/dev/cpu_dma_latency")
DRIVER = Path("/sys/devices/system/cpu/cpuidle/current_driver")

VIRTUAL = "haltpoll"
"""Linux's driver for the sleep of virtual cores. A real core is awake in a microsecond or two, and
one that looks out instead takes power and heat from the others."""

NO_LATENCY = bytes(4)  # microseconds, as the machine's int


class Awake:
    """The request of one node; time in seconds passes between two looks."""

    def __init__(
        self,
        cores: int,
        device: Path = DEVICE,
        driver: Path = DRIVER,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
    ) -> None:
        """`used` is what this process did so far; a core that is alone is woken by no other one."""
        self.is_choice = cores > 1 and may_ask(device, driver)
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

    def look(self, looked_out_s: float) -> None:
        """Ask, or ask no longer; what its threads took to look out for words is no work."""
        at, used_s = self._clock(), self._used() - looked_out_s
        share = (used_s - self._used_s) / (at - self._at) / self._cores
        self._at, self._used_s = at, used_s
        if self._request is None and self.is_choice and share >= SHARE_MIN:
            self._ask()
        elif share < SHARE_REST:
            self.close()

    def close(self) -> None:
        """Let the cores sleep."""
        request, self._request = self._request, None
        if request is not None:
            os.close(request)

    def _ask(self) -> None:
        try:
            self._request = os.open(self._device, os.O_WRONLY)
            os.write(self._request, NO_LATENCY)
        except OSError:  # a container that does not have it, say: all we lose is time
            self.close()
            self.is_choice = False


def may_ask(device: Path, driver: Path) -> bool:
    """Whether the cores are virtual ones that sleep, and this process may keep them from it."""
    try:
        is_virtual = driver.read_text().strip() == VIRTUAL
    except OSError:
        return False
    return is_virtual and os.access(device, os.W_OK)
