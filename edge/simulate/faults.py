"""What can go wrong at the line while it runs: a table of faults, each with its arguments and its allowance.

A fault ends by itself: after ``ms`` milliseconds, after ``parts`` messages, or at once.  Two faults of one group would
blur each other, so the second one is refused.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge import clock
from edge.simulate.instruments import Frame, Line, Message, Spoil, Trigger
from edge.simulate.rig import Fault, Order
from edge.simulate.world import COUNTER_SPAN

DEVICE_ALLOWANCE_MS = 6000.0
"""Where a device has to be opened anew: the longest back-off of the station (5 s), and the handshake."""

BACKWARDS_ALLOWANCE_MS = 2500.0
"""Where the belt has run back: it comes to its old place first."""

# -- camera ------------------------------------------------------------------------------------------------------


def _spoil(order: Order, line: Line[Message], spoil: Spoil[Message]) -> None:
    line.spoil_next(max(1, int(order.args["parts"])), spoil, order.done)


def _delay_ns(order: Order) -> int:
    return round(order.args["delay_ms"] * clock.NS_PER_MS)


def _drop_frames(order: Order) -> None:
    _spoil(order, order.rig.camera.line, lambda _: [])


def _delay_frames(order: Order) -> None:
    _spoil(order, order.rig.camera.line, lambda frame: [(_delay_ns(order), frame)])


def _short_frames(order: Order) -> None:
    def cut(frame: Frame) -> list[tuple[int, Frame]]:
        return [(0, frame._replace(pixels=frame.pixels[: len(frame.pixels) // 2]))]

    _spoil(order, order.rig.camera.line, cut)


def _corrupt_frames(order: Order) -> None:
    def corrupt(frame: Frame) -> list[tuple[int, Frame]]:
        return [(0, frame._replace(header=frame.header | {"width": frame.header["width"] + 1}))]

    _spoil(order, order.rig.camera.line, corrupt)


def _repeat_frame(order: Order) -> None:
    _spoil(order, order.rig.camera.line, lambda frame: [(0, frame), (3 * clock.NS_PER_MS, frame)])


def _extra_frame(order: Order) -> None:
    order.rig.camera.expose(order.now_ns, None)
    order.done()


def _camera_gap(order: Order) -> None:
    camera = order.rig.camera
    camera.counter = (camera.counter + int(order.args["frames"])) % COUNTER_SPAN
    order.done()


def _quiet(order: Order, line: Line[Message], gone: bool) -> None:
    line.silent, line.gone = True, gone

    def back(_now_ns: int) -> None:
        line.silent = line.gone = False

    order.for_a_while(back)


def _camera_restart(order: Order) -> None:
    order.rig.camera.line.gone = True

    def back(_now_ns: int) -> None:
        order.rig.camera.line.gone = False
        order.rig.camera.counter = int(order.args["counter"])

    order.for_a_while(back)


# -- eye ---------------------------------------------------------------------------------------------------------


def _drop_triggers(order: Order) -> None:
    _spoil(order, order.rig.eye.line, lambda _: [])


def _delay_triggers(order: Order) -> None:
    def delay(trigger: Trigger) -> list[tuple[int, Trigger]]:
        return [(_delay_ns(order), trigger)]

    _spoil(order, order.rig.eye.line, delay)


def _eye_blocked(order: Order) -> None:
    order.rig.world.block_eye(order.now_ns, order.args["ms"])
    order.for_a_while(lambda _: None)


def _eye_bounce(order: Order) -> None:
    world, at = order.rig.world, order.rig.at
    world.bounce_next(max(1, int(order.args["edges"])))

    def watch(now_ns: int) -> None:
        if world.bounces:  # no plate has come yet
            at(now_ns + 20 * clock.NS_PER_MS, watch)
        else:
            order.done()

    watch(order.now_ns)


# -- encoder and belt --------------------------------------------------------------------------------------------


def _encoder_frozen(order: Order) -> None:
    order.rig.world.freeze_encoder(order.now_ns)
    order.for_a_while(order.rig.world.thaw_encoder)


def _encoder_jump(order: Order) -> None:
    order.rig.world.jump_encoder(order.now_ns, int(order.args["counts"]))
    order.done()


def _encoder_restart(order: Order) -> None:
    order.rig.world.new_epoch(order.now_ns, int(order.args["count"]) % COUNTER_SPAN)
    order.done()


def _run_at(order: Order, speed_mm_s: float) -> None:
    drive, accel = order.rig.drive, order.rig.accel_mm_s2
    drive.force(order.now_ns, speed_mm_s, accel)
    order.for_a_while(lambda now_ns: drive.force(now_ns, None, accel))


# -- PLC ---------------------------------------------------------------------------------------------------------


def _plc_stop(order: Order) -> None:
    order.rig.program.stop()
    order.for_a_while(lambda _: order.rig.program.reboot())


def _plc_reboot(order: Order) -> None:
    order.rig.program.reboot()
    order.done()


def _trouble(order: Order, **values: float | bool) -> None:
    trouble = order.rig.port.trouble
    before = {name: getattr(trouble, name) for name in values}

    def set_all(values: Mapping[str, float | bool]) -> None:
        for name, value in values.items():
            setattr(trouble, name, value)

    set_all(values)
    order.for_a_while(lambda _: set_all(before))


def _plc_closed(order: Order) -> None:
    order.rig.port.close_port()
    order.for_a_while(lambda _: order.rig.port.open_port())


_PARTS = {"parts": 1.0}

FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        Fault("drop_frames", "the next frames never arrive", "frames", _PARTS, _drop_frames),
        Fault("delay_frames", "the next frames arrive late", "frames", {**_PARTS, "delay_ms": 60.0}, _delay_frames),
        Fault("short_frames", "the next frames lack half of their pixels", "frames", _PARTS, _short_frames),
        Fault("corrupt_frames", "the next frames have a wrong geometry", "frames", _PARTS, _corrupt_frames),
        Fault("repeat_frame", "the next frames arrive twice", "frames", _PARTS, _repeat_frame),
        Fault("extra_frame", "a frame of the bare belt, without a trigger", "extra", {}, _extra_frame),
        Fault("camera_gap", "the camera's counter skips numbers", "extra", {"frames": 1.0}, _camera_gap),
        Fault(
            "camera_gone",
            "neither frames nor hellos; the counter goes on",
            "camera",
            {"ms": 3000.0},
            lambda order: _quiet(order, order.rig.camera.line, True),
            DEVICE_ALLOWANCE_MS,
        ),
        Fault(
            "camera_silent",
            "hellos, but no frames",
            "camera",
            {"ms": 1000.0},
            lambda order: _quiet(order, order.rig.camera.line, False),
            DEVICE_ALLOWANCE_MS,
        ),
        Fault(
            "camera_restart",
            "gone for a while, then its counter begins anew",
            "camera",
            {"ms": 500.0, "counter": 1.0},
            _camera_restart,
            DEVICE_ALLOWANCE_MS,
        ),
        Fault("drop_triggers", "the next edges never arrive at the station", "triggers", _PARTS, _drop_triggers),
        Fault(
            "delay_triggers",
            "the next edges arrive late at the station",
            "triggers",
            {**_PARTS, "delay_ms": 60.0},
            _delay_triggers,
        ),
        Fault(
            "trigger_gone",
            "neither edges nor hellos at the station; the PLC counts on",
            "triggers",
            {"ms": 3000.0},
            lambda order: _quiet(order, order.rig.eye.line, True),
            DEVICE_ALLOWANCE_MS,
        ),
        Fault("eye_blocked", "something that is no plate covers the eye", "eye", {"ms": 300.0}, _eye_blocked),
        Fault("eye_bounce", "the next plate gives extra edges", "eye", {"edges": 2.0}, _eye_bounce),
        Fault("encoder_frozen", "the count stands while the belt runs", "encoder", {"ms": 500.0}, _encoder_frozen),
        Fault("encoder_jump", "the count jumps, either way", "encoder", {"counts": 20_000.0}, _encoder_jump),
        Fault("encoder_restart", "the count begins anew, a new epoch", "encoder", {"count": 0.0}, _encoder_restart),
        Fault("belt_stop", "the belt stands", "belt", {"ms": 1000.0}, lambda order: _run_at(order, 0.0)),
        Fault(
            "belt_reverse",
            "the belt runs backwards",
            "belt",
            {"ms": 500.0, "speed_mm_s": 200.0},
            lambda order: _run_at(order, -order.args["speed_mm_s"]),
            BACKWARDS_ALLOWANCE_MS,
        ),
        Fault(
            "belt_fast",
            "the belt runs at a multiple of its speed",
            "belt",
            {"ms": 500.0, "factor": 2.0},
            lambda order: _run_at(order, order.rig.speed_mm_s * order.args["factor"]),
        ),
        Fault("plc_stop", "CPU in STOP with its port open, then started", "plc", {"ms": 500.0}, _plc_stop),
        Fault("plc_reboot", "the program starts anew at once", "plc", {}, _plc_reboot),
        Fault("plc_silent", "requests are lost", "plc", {"ms": 500.0}, lambda order: _trouble(order, silent=True)),
        Fault(
            "plc_slow",
            "answers come late, and take effect late",
            "plc",
            {"ms": 1000.0, "answer_ms": 30.0},
            lambda order: _trouble(order, answer_ms=order.args["answer_ms"]),
        ),
        Fault(
            "plc_refuse",
            "every request is answered by an exception",
            "plc",
            {"ms": 500.0},
            lambda order: _trouble(order, refusing=True),
        ),
        Fault("plc_closed", "the port is closed, then opened", "plc", {"ms": 500.0}, _plc_closed),
        Fault(
            "plc_nonsense",
            "every read returns random registers",
            "plc",
            {"ms": 500.0},
            lambda order: _trouble(order, nonsense=True),
        ),
        Fault(
            "plc_foreign",
            "the register map has another version",
            "plc",
            {"ms": 500.0},
            lambda order: _trouble(order, foreign=True),
        ),
    )
}
