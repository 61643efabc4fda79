"""`edge install` and `edge uninstall` as commands."""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Annotated

import typer

from edge.commands import install, install_sources
from edge.commands.install_host import Host
from edge.commands.install_layout import DEFAULT_PORT, MONITOR, PACKAGED_PROGRAM, ROLES, USER, Wanted, instances, layout
from edge.errors import InstallError

Line = Annotated[str, typer.Argument(help="Name of the line: part of its services' names and folders.")]
Root = Annotated[Path, typer.Option(help="Root of the machine to work on; nothing is started or stopped for another.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only show what would be done.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it without asking.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_PORT = re.compile(r"^\s*port\s*=\s*(\d+)", re.MULTILINE)
_WORDS = {"create": "create", "update": "update", "same": "there  ", "keep": "KEEP   "}


def install_command(
    line: Line = "line-1",
    role: Annotated[list[str] | None, typer.Option(help="gateway, station or monitor; all three by default.")] = None,
    root: Root = Path("/"),
    program: Annotated[Path | None, typer.Option(help="The services' `edge`; by default this environment's.")] = None,
    models: Annotated[Path | None, typer.Option(help="Folder of the shipped model packages.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Install services, users, folders, udev rules, keys and configurations of a line.  Shows first what it will do."""
    host = Host(root)
    wanted = _wanted(host, line, role, program, models)
    planned = install.plan(host, layout(wanted))
    steps = [step for _, step in planned]
    nothing = not any(step.doing in ("create", "update") for step in steps)
    if as_json:
        told = [{"doing": step.doing, "what": step.what, "note": step.note} for step in steps]
        print(json.dumps({"line": line, "root": str(host.root), "steps": told, "done": not dry_run}, indent=1))
    else:
        print("\n".join(f"{_WORDS[s.doing]} {s.what}{f'  ({s.note})' if s.note else ''}" for s in steps))
    if dry_run or nothing:
        if nothing and not as_json:
            print("\nNothing is to be done.")
        return
    _ask(yes, "Do this?")
    if host.is_this:
        install.check_program(Path(wanted.program))
    os.umask(0o022)  # folders on the way, such as /etc/udev/rules.d, are everybody's to read, however root is set up
    install.install(host, planned)
    if not as_json:
        print(_next_steps(wanted))


def uninstall_command(
    line: Annotated[str | None, typer.Argument(help="Name of the line; without it, all.")] = None,
    root: Root = Path("/"),
    purge_data: Annotated[bool, typer.Option("--purge-data", help="Journals, pictures and marks too.")] = False,
    purge_settings: Annotated[
        bool, typer.Option("--purge-settings", help="Keys, and configurations that were changed, too.")
    ] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Undo what `edge install` did, from its record.  Journals, pictures, keys and what was changed by hand stay."""
    host = Host(root)
    undone = install.undo_plan(host, line, install.Purge(purge_data, purge_settings))
    if not as_json:
        print("\n".join(_undo_line(undo) for undo in undone) or "Nothing of edge install is on record here.")
    if undone and not dry_run:
        _ask(yes, "Do this?")
        install.uninstall(host, undone)
    if as_json:
        told = [{"doing": u.doing, "kind": u.entry.kind, "what": u.entry.path, "note": u.note} for u in undone]
        print(json.dumps({"line": line, "root": str(host.root), "steps": told, "done": not dry_run}, indent=1))


def _wanted(host: Host, line: str, role: list[str] | None, program: Path | None, models: Path | None) -> Wanted:
    if program is None:
        program = Path(sys.prefix) / "bin" / "edge" if host.is_this else Path(PACKAGED_PROGRAM)
    if models is None:
        models = install_sources.models() if host.is_this else Path("/opt/edge/models")
    roles = [name for name in ROLES if role is None or name in role]
    if role is not None and (unknown := sorted(set(role) - set(ROLES))):
        raise InstallError(f"{', '.join(unknown)} is no role.", f"use {', '.join(ROLES)}.")
    return Wanted(line, roles, PurePosixPath(program), PurePosixPath(models), _free_port(host, line))


def _free_port(host: Host, line: str) -> int:
    """Return the first port that no other line's monitor has, whoever configured it.

    Raises:
        InstallError: a configuration cannot be read.
    """
    taken = set()
    for file in host.at(PurePosixPath("/etc/edge")).glob("*/monitor.toml"):
        if file.parent.name != line:
            try:
                text = file.read_text(encoding="utf-8", errors="replace")
            except OSError as error:
                raise InstallError(f"{file} cannot be read ({error.strerror}).", "run this as root.") from None
            found = _PORT.search(text)  # even in a file that is no TOML just now
            taken.add(int(found[1]) if found else DEFAULT_PORT)
    return next(port for port in itertools.count(DEFAULT_PORT) if port not in taken)


def _ask(yes: bool, question: str) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise InstallError("Nobody is there to be asked.", "add --yes, or --dry-run.")
    typer.confirm(question, abort=True)


def _undo_line(undo: install.Undo) -> str:
    what = undo.entry.path if undo.entry.path.startswith("/") else f"{undo.entry.kind} {undo.entry.path}"
    return f"{undo.doing:<8} {what}{f'  ({undo.note})' if undo.note else ''}"


def _next_steps(wanted: Wanted) -> str:
    files: Sequence[str] = [f"/etc/edge/{wanted.line}/{role}.toml" for role in wanted.roles]
    looked_at = [file for file in files if not file.endswith("monitor.toml")] or files
    home = next(role for role in ("station", "gateway", "monitor") if role in wanted.roles)
    user, groups = (MONITOR, f"--groups={USER}") if home == "monitor" else (USER, "--init-groups")
    # Root may do what the services may not.  setpriv leaves HOME as it is, and root's is not theirs.
    as_edge = f"setpriv --reuid={user} --regid={user} {groups} env EDGE_STATE=/var/lib/edge/{wanted.line}/{home}"
    return "\n".join(
        [
            "\nInstalled; nothing runs yet. Next:",
            f"  1. enter the line's own values in {' and '.join(files)}",
            f"  2. edge check FILE; {as_edge} edge doctor {' '.join(looked_at)}",
            f"  3. systemctl enable --now {' '.join(instances(wanted.line, wanted.roles))}",
            f"  4. systemctl status 'edge-*@{wanted.line}.service'; journalctl -u 'edge-*@{wanted.line}.service'",
            "Undo: edge uninstall --dry-run",
        ]
    )
