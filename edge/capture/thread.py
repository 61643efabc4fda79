"""A thread that stands at a device, and opens it anew when it is lost."""

from __future__ import annotations

import logging
import random
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from edge import flight
from edge.capture.base import Device
from edge.capture.events import DeviceBack, DeviceEvent, DeviceLost
from edge.clock import NS_PER_S, now_ns
from edge.errors import CameraError, EdgeError

WAIT_S = 0.1
"""Longest wait for a frame or trigger, so that ``stop`` is quick."""

UNHEARD_NS = NS_PER_S
"""A device that has sent nothing for this long, not even its own heartbeat, is gone."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0
"""Before the first try to open a lost device, and at most: each pause is twice as long as the one before."""

STOP_S = 3.0
"""How long a thread is waited for.  One that is opening its device ends only when that returns, which takes the plant's
drivers 2 s; a driver that takes longer than this counts as hung."""

_STALL_NS = NS_PER_S // 2
"""A turn that takes this long means that the process was stopped: what the device sent meanwhile is yet to be read."""

_log = logging.getLogger(__name__)


class DeviceThread(ABC):
    """Repeats ``_step`` until it is stopped.  What a step raises costs the device its connection, never the process.

    A device that has failed, shows no sign of life, or is to be reopened is closed and opened again, after pauses that
    grow from ``FIRST_PAUSE_S`` to ``LONGEST_PAUSE_S`` while it does not stay.  ``DeviceLost`` and ``DeviceBack`` tell
    of it.  The owner opens the device before ``start``, and closes it after ``stop``.

    Args:
        name: of the thread.
        device_name: what events call the device.
        device: an open one.
        post: takes the events, from this thread; it must return at once.
        clock: gives monotonic nanoseconds.

    Attributes:
        steps: of the thread so far: turns, and tries to open the device.  While the thread lives and no driver hangs it
            grows, also where nothing comes and where the device is gone.
    """

    def __init__(
        self,
        name: str,
        device_name: str,
        device: Device,
        post: Callable[[DeviceEvent], None],
        clock: Callable[[], int] = now_ns,
    ) -> None:
        self._device_name, self._device, self._tell, self._clock = device_name, device, post, clock
        self._turned_ns = self._awake_ns = self._opened_ns = clock()
        self.steps = 0
        self._pause_s = FIRST_PAUSE_S
        self._was_late = False  # the last turn
        self._reopen_for = ""
        self._died = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def name(self) -> str:
        """What events call the device."""
        return self._device_name

    @property
    def heard_ns(self) -> int:
        """When the device last showed that it is alive, monotonic.  One whose driver does not return shows nothing.

        Raises:
            CameraError: the thread itself has failed, and nothing will open the device again.
        """
        if self._died:
            raise CameraError(
                f"The thread at the {self._device_name} has failed: {self._died}.",
                "start the station again, and report what the log says before this.",
            )
        return min(self._device.heard_ns, self._turned_ns)

    def start(self) -> None:
        """Start the thread, once."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Ask the thread to end.  Returns at once."""
        self._stopping.set()

    def stop(self, timeout_s: float = STOP_S) -> bool:
        """Ask the thread to end and wait for it.

        Returns:
            Whether it has ended.  False means that the driver hangs: the device must not be closed, as the driver is
            still in use, and the process must end.
        """
        self.ask_to_stop()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def reopen(self, reason: str) -> None:
        """Have the device closed and opened again, for a reason in words.  Any thread may ask; nothing waits."""
        self._reopen_for = reason

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._turn()
                except Exception as error:  # noqa: BLE001 - whatever a driver raises must reach the station
                    self._lose(error)
        except BaseException as error:
            self._died = _in_words(error)  # the station asks with its next turn, and ends
            raise
        finally:
            self._give_back()

    def _turn(self) -> None:
        if self._reopen_for:
            reason, self._reopen_for = self._reopen_for, ""
            raise CameraError(reason, "it is closed and opened again; check it if this goes on.")
        self._step()
        self.steps += 1
        now = self._clock()
        is_late = now - self._turned_ns > _STALL_NS
        if is_late and not self._was_late:  # turn after turn it is the driver that does not return in time
            self._awake_ns = now
        self._was_late, self._turned_ns = is_late, now
        if now - max(self._device.heard_ns, self._awake_ns) > UNHEARD_NS:
            raise CameraError(
                f"The {self._device_name} has shown no sign of life for {UNHEARD_NS / NS_PER_S:g} s.",
                "check its power and its cable.",
            )

    def _lose(self, error: Exception) -> None:
        """Tell that the device is lost, and try to get it back until the thread is stopped."""
        lost = _in_words(error)
        _log.warning("The %s is lost: %s", self._device_name, lost, exc_info=not isinstance(error, EdgeError))
        flight.mark(f"{self._device_name} lost")
        self._give_back()
        self._tell(DeviceLost(self._device_name, lost))
        if self._clock() - self._opened_ns > LONGEST_PAUSE_S * NS_PER_S:
            self._pause_s = FIRST_PAUSE_S
        while (refused := self._try_again()) is not None:
            if refused != lost:
                _log.warning("The %s cannot be opened: %s", self._device_name, refused)
                lost = refused

    def _try_again(self) -> str | None:
        """Close, pause and open.  Return why that failed, or None where there is nothing more to try."""
        self._close()
        self.steps += 1
        jittered_s = self._pause_s * random.uniform(0.75, 1.0)  # so that many do not knock in step
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)
        if self._stopping.wait(jittered_s):
            return None
        try:
            self._device.open()
        except Exception as error:  # noqa: BLE001 - tried again
            return _in_words(error)
        if self._stopping.is_set():  # whoever is told of devices may have gone meanwhile
            return None
        self._reopened()
        self._turned_ns = self._awake_ns = self._opened_ns = self._clock()
        self._reopen_for = ""
        _log.warning("The %s is back.", self._device_name)
        flight.mark(f"{self._device_name} back")
        self._tell(DeviceBack(self._device_name))
        return None

    def _close(self) -> None:
        try:
            self._device.close()
        except Exception as error:  # noqa: BLE001 - it is opened anew, which tells whether it works
            _log.warning("The %s cannot be closed: %s", self._device_name, _in_words(error))

    @abstractmethod
    def _step(self) -> None:
        """One turn, of at most ``WAIT_S``."""

    @abstractmethod
    def _reopened(self) -> None:
        """Begin anew at a device whose counters need not go on."""

    def _give_back(self) -> None:
        """Give back what the thread holds."""
        return


def stop_all(threads: Iterable[DeviceThread], timeout_s: float = STOP_S) -> list[str]:
    """Ask all threads to end, and wait ``timeout_s`` for them together.

    Returns:
        The names of the devices whose drivers hang; see ``DeviceThread.stop``.
    """
    threads = list(threads)
    for thread in threads:
        thread.ask_to_stop()
    end_ns = now_ns() + int(timeout_s * NS_PER_S)
    return [thread.name for thread in threads if not thread.stop(max(0, end_ns - now_ns()) / NS_PER_S)]


def _in_words(error: BaseException) -> str:
    try:
        return str(error) if isinstance(error, EdgeError) else f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - a driver's own class, and its words are not worth the thread
        return type(error).__name__
