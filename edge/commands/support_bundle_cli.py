"""The options of `edge support-bundle`."""

from __future__ import annotations

import json
import os
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated

import typer

NICE = 19
"""Behind everything else on a machine that may be inspecting."""


def support_bundle_command(
    paths: Annotated[list[Path] | None, typer.Argument(help="station.toml, gateway.toml, monitor.toml.")] = None,
    out: Annotated[Path | None, typer.Option(help="The archive; by default edge-support-TIME.tar.gz, here.")] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=168, help="How far back journal and logs go.")] = 1.0,
    images: Annotated[bool, typer.Option("--images", help="Include pictures of parts.")] = False,
    log: Annotated[list[Path] | None, typer.Option(help="A log file, beside the systemd journal.")] = None,
    metrics: Annotated[str | None, typer.Option(help="The monitor's address, http://HOST:PORT/metrics.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write one archive for whoever helps from elsewhere: without secrets, and without pictures unless asked for."""
    from edge.commands.support_bundle import make

    os.nice(NICE)
    moment = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    made = make(paths or [], out or Path(f"edge-support-{moment}.tar.gz"), hours, images, log or (), metrics)
    if as_json:
        print(json.dumps({"path": str(made.path), **made.manifest}, indent=1))
        return
    for left in made.manifest["left_out"]:
        print(f"left out: {left['name']}: {left['why']}")
    removed = sum(member["secrets_removed"] for member in made.manifest["files"].values())
    size_mb = made.path.stat().st_size / 1e6
    print(f"{made.path}: {len(made.manifest['files'])} files, {size_mb:.1f} MB, {removed} secrets removed.")
    print("Look through it before you send it: it names people who gave commands, parts, recipes and addresses.")
