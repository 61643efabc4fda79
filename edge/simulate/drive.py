"""The belt's drive: what it runs at follows from who asks for what.  The PLC's stop comes before everything."""

from __future__ import annotations

from edge.simulate.world import World


class Drive:
    """Runs the belt of ``world`` at ``speed_mm_s``.

    Args:
        world: with the belt, which runs already.
        speed_mm_s: while nobody asks for anything else.
        hold_mm_s2: how hard it brakes for the PLC.
    """

    def __init__(self, world: World, speed_mm_s: float, hold_mm_s2: float) -> None:
        self.held = False
        self._world, self._speed_mm_s, self._hold_mm_s2 = world, speed_mm_s, hold_mm_s2
        self._forced_mm_s: float | None = None

    def hold(self, now_ns: int, held: bool) -> None:
        """Stop for the PLC, or run on."""
        self.held = held
        self._world.ramp(now_ns, self._wanted_mm_s(), self._hold_mm_s2)

    def force(self, now_ns: int, speed_mm_s: float | None, accel_mm_s2: float = 0.0) -> None:
        """Run at another speed, negative backwards; None ends that.  An acceleration of 0 changes it at once."""
        self._forced_mm_s = speed_mm_s
        if self.held:
            return
        if accel_mm_s2 > 0:
            self._world.ramp(now_ns, self._wanted_mm_s(), accel_mm_s2)
        else:
            self._world.set_speed(now_ns, self._wanted_mm_s())

    def _wanted_mm_s(self) -> float:
        if self.held:
            return 0.0
        return self._speed_mm_s if self._forced_mm_s is None else self._forced_mm_s
