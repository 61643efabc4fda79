"""What the plant's console answers: faults are started, the referee told and asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edge.simulate.affected import ALLOWANCE_MS
from edge.simulate.faults import FAULTS
from edge.simulate.judge import Judge
from edge.simulate.rig import Order, Rig

MOST = 1e12
"""The largest number that an argument may be: no fault lasts longer, in ms."""


class FaultBoard:
    """Starts faults of ``rig`` and tells the referee of their time; ``now`` is the line's, in monotonic ns."""

    def __init__(self, rig: Rig, judge: Judge, now: Callable[[], int]) -> None:
        self._rig, self._judge, self._now = rig, judge, now
        self._running: dict[str, str] = {}  # by group

    def start(self, name: str, now_ns: int, given: Mapping[str, float]) -> None:
        """Start a fault with the arguments given, and ``allowance_ms`` among them where it is to differ.

        Raises:
            ValueError: an unknown fault or argument, or another fault of the group that runs.
        """
        fault = FAULTS.get(name)
        if fault is None:
            raise ValueError(f"there is no fault {name!r}; there are {', '.join(FAULTS)}")
        args = {**fault.args, "allowance_ms": fault.allowance_ms}
        if unknown := given.keys() - args.keys():
            raise ValueError(f"{name} takes {', '.join(args)}, not {', '.join(sorted(unknown))}")
        if fault.group in self._running:
            raise ValueError(f"{name} must wait: {self._running[fault.group]} is running")
        args |= given
        self._running[fault.group] = name
        self._judge.fault_begins(name, now_ns)

        def done() -> None:
            del self._running[fault.group]
            self._judge.fault_ends(name, self._now(), args["allowance_ms"])

        fault.start(Order(self._rig, now_ns, args, done))


class Desk:
    """Answers requests.

    Args:
        board: starts faults.
        judge: the referee.
        look: what the line does now.
    """

    def __init__(self, board: FaultBoard, judge: Judge, look: Callable[[], dict[str, Any]]) -> None:
        self._board, self._judge, self._look = board, judge, look

    def answer(self, request: dict[str, Any], now_ns: int) -> dict[str, Any]:
        """Do what is asked; the requests are those of ``edge.simulate.console``.

        Raises:
            ValueError: a request that makes no sense, or cannot be done now.
        """
        match request.pop("do", None):
            case "fault":
                name = _name(request)
                self._board.start(name, now_ns, {key: _number(key, value) for key, value in request.items()})
                return {}
            case "affected":
                self._mark(request, now_ns)
                return {}
            case "state":
                return {**self._judge.summary(), "open_faults": self._judge.faults.running, **self._look()}
            case "look":
                return {"open_faults": self._judge.faults.running, **self._look()}
            case other:
                raise ValueError(f"there is no request {other!r}; there are fault, affected, state and look")

    def _mark(self, request: dict[str, Any], now_ns: int) -> None:
        name, begin = _name(request), request.pop("begin", None)
        if begin is True:
            self._judge.fault_begins(name, now_ns)
        elif begin is False:
            self._judge.fault_ends(name, now_ns, _number("allowance_ms", request.get("allowance_ms", ALLOWANCE_MS)))
        else:
            raise ValueError(f"begin is true or false, not {begin!r}")


def _name(request: dict[str, Any]) -> str:
    name = request.pop("name", None)
    if not isinstance(name, str) or not name:
        raise ValueError(f"name is a text, not {name!r}")
    return name


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{key} is a number, not {value!r}")
    if not -MOST <= value <= MOST:  # nor is what is no number at all
        raise ValueError(f"{key} lies within {MOST:g}, not at {value!r}")
    return float(value)
