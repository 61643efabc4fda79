"""The PLC's holding registers between its program and its network port.

Like a PLC, network and program do not share memory in the middle of a scan.  A request is served whole from the
network's image; what it wrote reaches the program at the start of the next scan, and the program's registers reach the
image at the end of one.  So a block is never torn, whichever thread the host runs first.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

Tap = Callable[[int, list[int], int], None]


class RegisterBank:
    """The registers, once for the program and once for the network.

    Args:
        size: number of holding registers.
        writable_from: the first register that the network may write.
        tap: told of each write: address, values, and when it came in monotonic ns.
    """

    def __init__(self, size: int, writable_from: int, tap: Tap | None = None) -> None:
        self.registers = [0] * size  # the program's
        self.writable_from = writable_from
        self._image = [0] * size  # the network's
        self._inbox: deque[tuple[int, int, list[int]]] = deque()
        self._tap = tap
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Number of registers."""
        return len(self.registers)

    def read(self, address: int, count: int) -> list[int]:
        """Return registers as the network sees them."""
        with self._lock:
            return self._image[address : address + count]

    def write(self, address: int, values: list[int], now_ns: int) -> None:
        """Take one write request, whole."""
        with self._lock:
            self._image[address : address + len(values)] = values
            self._inbox.append((now_ns, address, values))
        if self._tap:
            self._tap(address, values, now_ns)

    def begin_scan(self, now_ns: int) -> None:
        """Hand the program what was written up to ``now_ns``."""
        if not self._inbox:
            return
        with self._lock:
            while self._inbox and self._inbox[0][0] <= now_ns:
                _, address, values = self._inbox.popleft()
                self.registers[address : address + len(values)] = values

    def end_scan(self) -> None:
        """Show the network the program's registers, under what it has written since."""
        with self._lock:
            self._image[:] = self.registers
            for _, address, values in self._inbox:
                self._image[address : address + len(values)] = values
