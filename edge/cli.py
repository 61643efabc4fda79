"""The command `edge`.  Thin: each command reads its options, calls one function, and prints what came of it."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from edge import __version__, config, logs
from edge.commands.bench_cli import app as bench_app
from edge.commands.challenge_cli import app as challenge_app
from edge.commands.control import app as control_app
from edge.commands.dataset_cli import app as dataset_app
from edge.commands.dataset_simulate import simulate_command
from edge.commands.evidence_cli import app as evidence_app
from edge.commands.install_cli import install_command, uninstall_command
from edge.commands.journal_cli import app as journal_app
from edge.commands.keys_cli import app as keys_app
from edge.commands.model_activate import activate_command, rollback_command
from edge.commands.model_evaluate_cli import evaluate_command
from edge.commands.record_cli import record_command, replay_command
from edge.commands.soak_cli import soak_command
from edge.commands.support_bundle_cli import support_bundle_command
from edge.commands.users_cli import app as users_app
from edge.errors import EdgeError
from edge.model.cli import app as model_app
from edge.monitor.cli import monitor_command
from edge.simulate.cli import app as simulate_app

app = typer.Typer(
    help="Inline surface inspection: a camera looks at every part, and every part gets exactly one outcome in time.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
model_app.command("evaluate")(evaluate_command)
model_app.command("activate")(activate_command)
model_app.command("rollback")(rollback_command)
dataset_app.command("simulate")(simulate_command)
app.add_typer(model_app, name="model")
app.add_typer(dataset_app, name="dataset")
app.add_typer(simulate_app, name="simulate", help="The simulated plant, which also judges where every part went.")
app.add_typer(bench_app, name="bench")
app.add_typer(control_app, name="control")
app.add_typer(challenge_app, name="challenge")
app.add_typer(keys_app, name="keys")
app.add_typer(journal_app, name="journal")
app.add_typer(evidence_app, name="evidence")
app.add_typer(users_app, name="users")
app.command("monitor")(monitor_command)
app.command("install")(install_command)
app.command("uninstall")(uninstall_command)
app.command("soak")(soak_command)
app.command("support-bundle")(support_bundle_command)
app.command("record")(record_command)
app.command("replay")(replay_command)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
EXIT_NOT_RECONCILED = 20


@app.command("run")
def run_command(
    path: Annotated[Path, typer.Argument(help="The station's configuration, station.toml.")],
    outcomes: Annotated[Path | None, typer.Option(help="Write one JSON line a part to this file.")] = None,
    parts: Annotated[int | None, typer.Option(min=1, help="Stop after this many parts.")] = None,
) -> None:
    """Run the station."""
    from edge.commands.run import run_station

    run_station(path, outcomes, parts)


@app.command("gateway")
def gateway_command(path: Annotated[Path, typer.Argument(help="The gateway's configuration, gateway.toml.")]) -> None:
    """Run the gateway between stations and PLC."""
    from edge.commands.run import run_gateway

    run_gateway(path)


@app.command("check")
def check_command(
    path: Annotated[Path, typer.Argument(help="station.toml or gateway.toml.")], as_json: Json = False
) -> None:
    """Validate a configuration and compute its budgets; refuse those that cannot hold."""
    from edge.commands import check

    report = check.check(path)
    print(json.dumps(report.as_dict(), indent=1) if as_json else check.render(report))
    report.refuse()


@app.command("inspect")
def inspect_command(
    folder: Annotated[Path, typer.Argument(help="A folder of images.")],
    path: Annotated[Path, typer.Option("--config", help="The station's configuration.")],
    as_json: Json = False,
) -> None:
    """Inspect a folder of images offline, by the station's own engine and rules."""
    from edge.commands import inspect

    settings = config.load(path, config.StationConfig)
    records = inspect.collect(inspect.inspect_folder(folder, settings))
    if as_json:
        print(json.dumps(inspect.summary(records, settings), indent=1))
    else:
        print("\n".join(map(inspect.line, records)))


@app.command("doctor")
def doctor_command(
    paths: Annotated[
        list[Path] | None, typer.Argument(envvar="EDGE_CONFIG", help="Configurations to examine too.")
    ] = None,
    alive: Annotated[bool, typer.Option("--alive", help="Only ask whether their processes answer now.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 23 where there are warnings.")] = False,
    as_json: Json = False,
) -> None:
    """Say what on this machine keeps a station from running well, and how to mend it; exit with 1 if anything fails."""
    from edge.commands import doctor

    findings = doctor.answering(paths or []) if alive else doctor.examine(paths or [])
    print(json.dumps(doctor.as_dict(findings), indent=1) if as_json else doctor.render(findings))
    if code := doctor.exit_code(findings, strict):
        raise typer.Exit(code)


@app.command("train")
def train_command(
    recipe: Annotated[Path, typer.Argument(help="The training recipe, TOML.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for checkpoints and results; out/NAME of the recipe.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the last checkpoint.")] = False,
) -> None:
    """Train a detector; needs the extra `train`."""
    from edge.training.cli import train_command as train

    train(recipe, out, resume)


@app.command("demo")
def demo_command(
    parts: Annotated[int | None, typer.Option(min=1, help="Plates to inspect; 300, or one a picture.")] = None,
    rate: Annotated[float, typer.Option(min=1, max=6000, help="Plates a minute; its gate holds 650.")] = 600.0,
    seed: Annotated[int, typer.Option(min=0, max=999_999, help="Of the plates; training uses none of these.")] = 7,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="Of the monitor; 0 takes a free one.")] = 0,
    surface: Annotated[str, typer.Option(help="steel: simulated plates; neu: your own pictures.")] = "steel",
    images: Annotated[Path | None, typer.Option(help="For neu: images/ and annotations/ (VOC), or pictures.")] = None,
    package: Annotated[Path | None, typer.Option(help="The model package; each surface has its own.")] = None,
    as_json: Json = False,
) -> None:
    """Run referee, gateway, station and monitor on simulated plates, and show what came of it."""
    from rich.console import Console

    from edge.commands import demo

    summary = demo.demo(parts, rate, seed, Console(stderr=as_json), metrics_port, surface, images, package)
    if as_json:
        print(json.dumps(summary, indent=1))
    else:
        demo.report(summary, Console())
    if not summary["reconciled"]:
        raise typer.Exit(EXIT_NOT_RECONCILED)


@app.command("commission")
def commission_command(
    paths: Annotated[list[Path], typer.Argument(help="gateway.toml, then the station.toml files of its line.")],
    piece: Annotated[list[float], typer.Option(help="Length of a test piece in mm; give two.")],
    piece_error: Annotated[float, typer.Option(min=0, help="Of either length, mm.")] = 0.1,
    pieces: Annotated[int, typer.Option(min=20, max=1000, help="How many pass, both lengths together.")] = 24,
    cycles: Annotated[int, typer.Option(min=20, max=1000, help="How often the gate is cycled.")] = 24,
    sensor_behind: Annotated[float, typer.Option(help="Sensor at the gate, mm behind its place of action.")] = 0.0,
    patience: Annotated[float, typer.Option(min=1, help="Seconds to wait for the next piece.")] = 60.0,
    simulated: Annotated[bool, typer.Option("--simulated", help="Measure a simulated line instead.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the simulated line.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Measure counts per mm, trigger-to-gate distance and switching times, and write them into the configuration."""
    from rich.console import Console

    from edge.commands import check, commission

    if len(piece) != 2:
        raise typer.BadParameter("give --piece twice: one length is free of the eye's error only beside another.")
    plan = commission.Plan((piece[0], piece[1]), piece_error, pieces, cycles, sensor_behind, patience)
    config_read = commission.load_all(paths)
    with Console(stderr=True).status("Connecting") as status:
        if simulated:
            report = commission.measure_simulated(config_read, plan, seed, status.update)
        else:
            report = commission.measure(config_read, plan, status.update)
    if not as_json:
        print(commission.render(report))
    if not dry_run:
        commission.write(paths, report.values)
    checked = None if dry_run else check.check(paths[0])
    if as_json:
        print(json.dumps({**report.as_dict(), "check": checked.as_dict() if checked else None}, indent=1))
    elif checked:
        print(f"\nwritten to {', '.join(map(str, paths))}\n\n{check.render(checked)}")
    if checked:
        checked.refuse()


@app.command("schema")
def schema_command(
    what: Annotated[str, typer.Argument(help="messages, station, gateway, monitor, or tables.")] = "messages",
    write: Annotated[list[Path] | None, typer.Option(help="With tables: a page whose tables are renewed.")] = None,
) -> None:
    """Print the JSON schema of the wire messages or of a configuration file, or the tables of the documentation."""
    from edge.commands import signals
    from edge.wire import messages

    schemas = {
        "messages": messages.schema,
        "station": config.StationConfig.model_json_schema,
        "gateway": config.GatewayConfig.model_json_schema,
        "monitor": config.MonitorConfig.model_json_schema,
    }
    if what == "tables" and write:
        for path in write:
            print(f"{path}: {'changed' if signals.write(path) else 'is up to date'}")
    elif what == "tables":
        print(signals.everything())
    elif what not in schemas:
        raise typer.BadParameter(f"{what!r} is none of {', '.join(schemas)}, tables.")
    elif write:
        raise typer.BadParameter("--write belongs to tables.")
    else:
        print(json.dumps(schemas[what](), indent=1))


def _say_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def options(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log more.")] = False,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help="Print the version.")
    ] = False,
) -> None:
    """Options of all commands."""
    logs.start(logging.DEBUG if verbose else logging.INFO)


def main() -> None:
    """Run the command line; an error that a user can act on is one line on stderr and its own exit code."""
    try:
        app()
    except EdgeError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
