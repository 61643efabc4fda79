"""``edge simulate``: a line to try the product on, and the referee of its tests."""

from __future__ import annotations

import json
import os
import secrets
import signal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge import errors
from edge.realtime import prioritise, settle
from edge.simulate import options

if TYPE_CHECKING:
    from edge.simulate.plant_settings import PlantSettings

app = typer.Typer(help="Simulate a line.", no_args_is_help=True)

BRAKE_MM_S2 = 20_000.0  # of the belt's drive at its hardest
REALTIME_PRIORITY = 40  # above station and gateway: hardware does not wait for a processor


class Infeed(str, Enum):
    """When plates enter."""

    INTERLOCK = "interlock"
    FREE = "free"


class Color(str, Enum):
    """Pixel format of the camera."""

    MONO8 = "mono8"
    BGR8 = "bgr8"


class SceneKind(str, Enum):
    """What the camera sees."""

    STEEL = "steel"
    MARKS = "marks"


class Signal(str, Enum):
    """Who times the gate: the PLC, or the gateway through one output."""

    PERMIT = "permit"
    PULSE = "pulse"


class FailSafe(str, Enum):
    """What the PLC does with a part that has no permit."""

    REJECT = "reject"
    STOP_LINE = "stop_line"


@app.callback()
def simulate() -> None:
    """Simulate a line."""


def parse_indices(texts: list[str]) -> frozenset[int]:
    """Parse plate indices: ``3``, ``3,5`` or ``7-9``, several times."""
    found: set[int] = set()
    for item in (item for text in texts for item in text.split(",")):
        first, _, last = item.partition("-")
        try:
            found.update(range(int(first), int(last or first) + 1))
        except ValueError:
            raise typer.BadParameter(f"{item!r} is no plate index; write 3 or 3,5 or 7-9") from None
    return frozenset(found)


def parse_delays(texts: list[str]) -> dict[int, float]:
    """Parse ``INDEX:MILLISECONDS``, several times or separated by commas; an index may be a range."""
    found: dict[int, float] = {}
    for item in (item for text in texts for item in text.split(",")):
        index, _, delay = item.partition(":")
        try:
            found.update(dict.fromkeys(parse_indices([index]), float(delay)))
        except ValueError:
            raise typer.BadParameter(f"{item!r} is no INDEX:MILLISECONDS; write 3:25") from None
    return found


Indices = Annotated[list[str], typer.Option(metavar="I[,I..]", help="Plate indices, from 0.")]
Delays = Annotated[list[str], typer.Option(metavar="I:MS", help="Plate index and milliseconds.")]


@app.command()
def plant(
    parts: Annotated[int, typer.Option(min=0, help="Plates to run; 0 runs until stopped.")] = 100,
    speed: Annotated[float, typer.Option(min=1, help="Belt speed, mm/s; 1000 is 600 plates a minute.")] = 1000.0,
    v_max: Annotated[float, typer.Option(min=1, help="Highest belt speed that the PLC reckons with, mm/s.")] = 1000.0,
    pitch: Annotated[float, typer.Option(min=1, help="Front to front, mm.")] = 100.0,
    jitter: Annotated[float, typer.Option(min=0, help="Scatter of the pitch, +- mm.")] = 0.0,
    length: Annotated[float, typer.Option(min=1, help="Of a plate, mm.")] = 60.0,
    gate: Annotated[float, typer.Option(min=1, help="Eye to gate, mm.")] = 500.0,
    counts_per_mm: Annotated[int, typer.Option(min=1, help="Encoder counts a millimetre.")] = 10,
    pitch_min: Annotated[float, typer.Option(min=1, help="Smallest permittable pitch, mm.")] = 80.0,
    length_max: Annotated[float, typer.Option(min=1, help="Longest permittable plate, mm.")] = 70.0,
    count_start: Annotated[int, typer.Option(min=0, help="Encoder reading at the start.")] = 4_000_000,
    first_part: Annotated[int, typer.Option(min=0, help="Eye counter at the first plate.")] = 1001,
    camera_start: Annotated[int, typer.Option(min=0, help="Camera counter at the first frame.")] = 77,
    fail_safe: Annotated[FailSafe, typer.Option(help="The PLC's fail-safe.")] = FailSafe.REJECT,
    signal_kind: Annotated[Signal, typer.Option("--signal", help="Who times the gate.")] = Signal.PERMIT,
    confirm: Annotated[float, typer.Option(min=0, help="Gate to a sensor behind it, mm; 0: none.")] = 0.0,
    infeed: Annotated[Infeed, typer.Option(help="Plates wait for INFEED_OPEN, or keep coming.")] = Infeed.INTERLOCK,
    host: Annotated[str, typer.Option(help="Modbus address to listen on.")] = "127.0.0.1",
    modbus: Annotated[int, typer.Option(min=0, max=65535, help="Modbus port; 0 takes a free one.")] = 5020,
    trigger: Annotated[str, typer.Option(help="Trigger endpoint to bind.")] = options.TRIGGER,
    camera: Annotated[str, typer.Option(help="Camera endpoint to bind.")] = options.CAMERA,
    telemetry: Annotated[str, typer.Option(help="The station's telemetry.")] = options.TELEMETRY,
    scene: Annotated[SceneKind, typer.Option(help="Rendered steel, or tiny frames with marks.")] = SceneKind.STEEL,
    width: Annotated[int, typer.Option(min=1, help="Of a frame, px; --images have their own.")] = 640,
    height: Annotated[int, typer.Option(min=1, help="Of a frame, px; --images have their own.")] = 512,
    color: Annotated[Color, typer.Option(help="Pixel format.")] = Color.MONO8,
    images: Annotated[Path | None, typer.Option(help="Show this folder's pictures instead.")] = None,
    pictures: Annotated[Path | None, typer.Option(help="Show those of this list, with what is on them.")] = None,
    seed: Annotated[int, typer.Option(min=0, max=options.TRAINING_SEEDS_FROM - 1, help="Of the rendered plates.")] = 7,
    defect_rate: Annotated[float, typer.Option(min=0, max=1, help="Share of defective plates.")] = 0.3,
    run_seed: Annotated[int | None, typer.Option(help="Of tags and jitter; random by default.")] = None,
    drop_frames: Indices = [],  # noqa: B006 - typer copies it
    corrupt_frames: Indices = [],  # noqa: B006
    delay_frames: Delays = [],  # noqa: B006
    drop_triggers: Indices = [],  # noqa: B006
    delay_triggers: Delays = [],  # noqa: B006
    stop_belt: Delays = [],  # noqa: B006
    stop_plc: Delays = [],  # noqa: B006
    scan: Annotated[float, typer.Option(min=0.5, help="Cycle of the PLC's program, ms.")] = 10.0,
    response: Annotated[float, typer.Option(min=0, help="The gate's own movement, ms.")] = 10.0,
    output: Annotated[float, typer.Option(min=0, help="The PLC's output module, ms.")] = 2.0,
    margin: Annotated[float, typer.Option(min=0, help="Of the PLC's commit point, ms.")] = 5.0,
    lead: Annotated[float, typer.Option(min=0.1, help="Of the gate's window, mm.")] = 5.0,
    eye_scatter: Annotated[float, typer.Option(min=0, help="Of a latched position, mm.")] = 2.0,
    backlash: Annotated[float, typer.Option(min=0, help="Play of the belt's drive, mm.")] = 2.0,
    brake: Annotated[float, typer.Option(min=0, help="Of the belt's drive at its hardest, mm/s2.")] = BRAKE_MM_S2,
    console: Annotated[Path | None, typer.Option(help="Unix socket by which a test breaks things.")] = None,
    settle: Annotated[float, typer.Option(min=0, help="Wait after the last plate, s.")] = 1.5,
    priority: Annotated[bool, typer.Option("--realtime/--no-realtime", help="Run in front of other processes.")] = True,
    ready_file: Annotated[Path | None, typer.Option(help="Written when all ports are open.")] = None,
    summary: Annotated[Path | None, typer.Option(help="Write the summary to this file.")] = None,
    parts_out: Annotated[Path | None, typer.Option(help="Write one JSON line a plate to this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Run belt, eye, camera, PLC and gate in real time, and judge where the plates went."""
    from edge.simulate.devices import Faults
    from edge.simulate.plant_settings import PlantSettings
    from edge.simulate.plc_io import PlcSettings
    from edge.simulate.world import Line

    if speed > v_max:
        raise typer.BadParameter(f"a speed of {speed:g} mm/s exceeds --v-max {v_max:g}")
    if images and pictures:
        raise typer.BadParameter("--images shows a folder and --pictures a list: give one of them")
    line = Line(
        speed_mm_s=speed,
        pitch_mm=pitch,
        pitch_jitter_mm=jitter,
        length_mm=length,
        gate_mm=gate,
        counts_per_mm=counts_per_mm,
        count_start=count_start,
        first_number=first_part,
        parts=parts,
        interlock=infeed is Infeed.INTERLOCK,
        confirm_mm=confirm,
        output_ms=output,
        response_ms=response,
        seed=secrets.randbits(32) if run_seed is None else run_seed,
    )
    faults = Faults(
        drop_frames=parse_indices(drop_frames),
        corrupt_frames=parse_indices(corrupt_frames),
        drop_triggers=parse_indices(drop_triggers),
        delay_frames=parse_delays(delay_frames),
        delay_triggers=parse_delays(delay_triggers),
        stop_belt=parse_delays(stop_belt),
        stop_plc=parse_delays(stop_plc),
    )
    settings = PlantSettings(
        line=line,
        plc=PlcSettings(
            brake_mm_s2=brake,
            scan_ms=scan,
            margin_ms=margin,
            lead_mm=lead,
            eye_scatter_mm=eye_scatter,
            backlash_mm=backlash,
            v_max_mm_s=v_max,
            pitch_min_mm=pitch_min,
            length_max_mm=length_max,
            fail_safe=1 if fail_safe is FailSafe.REJECT else 2,
            pulse=signal_kind is Signal.PULSE,
            watchdog_ms=120.0 if signal_kind is Signal.PULSE else 150.0,
        ),
        faults=faults,
        camera_start=camera_start,
        size=(width, height),
        color=color.value,
        images=images,
        pictures=pictures,
        surface_seed=seed,
        defect_rate=defect_rate,
        trigger=trigger,
        camera=camera,
        telemetry=telemetry,
        modbus_host=host,
        modbus_port=modbus,
        settle_s=settle,
        console=console,
        marks=scene is SceneKind.MARKS,
    )
    if priority:
        prioritise(REALTIME_PRIORITY)
    try:
        result = _run(settings, ready_file, parts_out)
    except errors.EdgeError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(error.exit_code) from error
    if summary:
        _write_atomically(summary, json.dumps(result, indent=2) + "\n")
    typer.echo(json.dumps(result) if as_json else "\n".join(f"{key:28} {value}" for key, value in result.items()))


def _run(settings: PlantSettings, ready_file: Path | None, parts_out: Path | None) -> dict[str, Any]:
    from edge.simulate.plant import Plant

    plant_run = Plant(settings)
    before = {n: signal.signal(n, lambda *_: plant_run.stop()) for n in (signal.SIGTERM, signal.SIGINT)}
    try:
        plant_run.open()
        settle()
        if ready_file:
            _write_atomically(ready_file, json.dumps(plant_run.addresses) + "\n")
        plant_run.run()
        if parts_out:
            lines = (json.dumps(record.as_json()) for record in plant_run.records())
            _write_atomically(parts_out, "".join(f"{line}\n" for line in lines))
        return plant_run.summary()
    finally:
        plant_run.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _write_atomically(path: Path, text: str) -> None:
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


@app.command()
def line(
    parts: Annotated[int, typer.Option(min=1, help="Plates to run.")] = 10_000,
    faults: Annotated[str, typer.Option(help="all, none, or names separated by commas.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 1,
    sabotage: Annotated[str, typer.Option(help="Put in a component without one protection: the run must fail.")] = "",
    shards: Annotated[int, typer.Option(min=0, help="Lines that start cold; 0 takes one per 20,000 parts.")] = 0,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes at a time.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Run the production code inside the referee's world, on a virtual clock, under faults.

    Exits 0 only if every part kept the verdict contract; else 21, with the history of the first that did not.
    """
    from edge.simulate.line.run import FAILED, parse_faults, run_line
    from edge.simulate.line.sabotage import SABOTAGES

    if sabotage and sabotage not in SABOTAGES:
        raise typer.BadParameter(f"there is no sabotage {sabotage!r}; there are {', '.join(SABOTAGES)}")
    try:
        names = SABOTAGES[sabotage].faults if sabotage and not faults else parse_faults(faults or "none")
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    result = run_line(parts, names, seed, sabotage, shards, workers)
    pairs = result.summary.items()
    typer.echo(json.dumps(result.summary) if as_json else "\n".join(f"{key:28} {value}" for key, value in pairs))
    if result.violations:
        typer.echo("\n".join([*(f"VIOLATED: {text}" for text in result.violations), *result.history]), err=True)
        raise typer.Exit(FAILED)
