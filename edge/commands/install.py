"""`edge install` and `edge uninstall`: what will be done, doing it, and undoing it from the record of what was done."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from edge.commands import install_record
from edge.commands.install_config import Places
from edge.commands.install_host import Host
from edge.commands.install_items import Item, Step, content_hash
from edge.commands.install_layout import HIDDEN, ROLES, instances
from edge.commands.install_record import RECORD, Entry
from edge.errors import InstallError

Plan = list[tuple[Item, Step]]


def plan(host: Host, items: Sequence[Item]) -> Plan:
    """Return what installing ``items`` would do.

    Raises:
        InstallError: the record of what was done before is damaged.
    """
    recorded = _by_path(install_record.read(host.root))
    return [(item, item.step(host, recorded)) for item in items]


def install(host: Host, planned: Plan) -> None:
    """Do what was planned.

    What is new is on record before it is made, so that nothing is forgotten where this ends early.  What is renewed
    goes on record after it: with the new hash on record and the old file in place, that would look changed by hand.

    Raises:
        InstallError: something cannot be made; what is missing is made when the command is repeated.
    """
    todo = [(item, step) for item, step in planned if step.doing in ("create", "update")]
    if not todo:
        return
    recorded = _by_path(install_record.read(host.root))
    for item, step in todo:
        if step.doing == "create":
            recorded |= _by_path(item.entries(host))
    install_record.write(host.root, list(recorded.values()))
    for item, step in todo:
        try:
            item.make(host)
        except OSError as error:
            raise InstallError(
                f"{error.filename or item} cannot be made ({error.strerror}).", "run this as root, or mend that."
            ) from None
        if step.doing == "update":
            recorded |= _by_path(item.entries(host))
            install_record.write(host.root, list(recorded.values()))
    host.reload()


# -- undo -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Purge:
    """What goes beyond what `edge install` itself has put there.

    Attributes:
        data: journals, pictures, marks: the record of every part.
        settings: keys, and configurations that a person has changed.
    """

    data: bool = False
    settings: bool = False


@dataclass(frozen=True)
class Undo:
    """What will become of one thing on record.

    Attributes:
        doing: ``remove``; ``if empty``: a folder; ``gone``: nothing is to be done; ``keep``.
        entry: the thing.
        note: why.
    """

    doing: Literal["remove", "if empty", "gone", "keep"]
    entry: Entry
    note: str = ""


def undo_plan(host: Host, line: str | None, purge: Purge) -> list[Undo]:
    """Return what would become of what is on record, in that order.

    Args:
        host: the machine.
        line: whose things; None: of all lines, and what they share.
        purge: what goes as well.

    Raises:
        InstallError: the record is damaged, or has nothing of that line.
    """
    entries = install_record.read(host.root)
    lines = {entry.line for entry in entries if entry.line}
    if line is not None and line not in lines:
        raise InstallError(
            f"No line {line!r} was installed here.", f"name one of: {', '.join(sorted(lines)) or 'none is there'}."
        )
    everything = line is None or lines == {line}
    chosen = [entry for entry in entries if everything or entry.line == line]
    settled = {entry.line for entry in chosen if entry.kind == "key" and _is_settled(host, entry.line, entries)}
    found = [_undo(host, entry, purge, entry.line in settled) for entry in reversed(chosen)]
    owned = any(undo.doing == "keep" and undo.entry.kind in ("data", "key", "config") for undo in found)
    return [_kept_account(undo) if owned else undo for undo in found]


def _undo(host: Host, entry: Entry, purge: Purge, is_settled: bool) -> Undo:
    """Judge one thing.  The keys of a line that ``is_settled`` may be in use."""
    path = host.at(PurePosixPath(entry.path)) if entry.path.startswith("/") else None
    if path is None:
        return Undo("remove", entry)
    if not path.exists():
        return Undo("gone", entry)
    if entry.kind == "folder":
        return Undo("if empty", entry)
    if entry.kind in ("data", "cache"):
        return _undo_content(path, entry, purge)
    if entry.kind == "key" and is_settled and not purge.settings:
        return Undo("keep", entry, "the other end may know it: --purge-settings removes it")
    if entry.kind in ("file", "config") and _is_changed(host, entry):
        if entry.kind == "config" and purge.settings:
            return Undo("remove", entry, "though it was changed")
        hint = ": --purge-settings removes it" if entry.kind == "config" else ""
        return Undo("keep", entry, f"changed by hand{hint}")
    return Undo("remove", entry)


def _undo_content(path: Path, entry: Entry, purge: Purge) -> Undo:
    """Judge a folder whose content was written by the services."""
    if path.is_symlink():
        return Undo("keep", entry, "a link: yours, with what it leads to")
    mounted = "; a mount point, which stays" if path.is_mount() else ""
    if entry.kind == "cache":
        return Undo("remove", entry, f"a cache{mounted}")
    if purge.data or not any(path.iterdir()):
        return Undo("remove", entry, f"{'with all that is in it' if purge.data else 'empty'}{mounted}")
    return Undo("keep", entry, "the plant's record: --purge-data removes it")


def _is_settled(host: Host, line: str, entries: Sequence[Entry]) -> bool:
    """True unless each configuration of a line is as `edge install` wrote it: only then has nobody used its keys yet.

    One that was there before, was moved away or was changed may name them, and the other end may know them.
    """
    written = {entry.path: entry for entry in entries if entry.kind == "config" and entry.line == line}
    others = (str(Places(line).settings / f"{role}.toml") for role in ROLES)
    if not written or any(path not in written and host.at(PurePosixPath(path)).exists() for path in others):
        return True
    return any(content_hash(host, PurePosixPath(path)) != entry.sha256 for path, entry in written.items())


def _is_changed(host: Host, entry: Entry) -> bool:
    present = content_hash(host, PurePosixPath(entry.path))
    return present not in ("", entry.sha256)


def _kept_account(undo: Undo) -> Undo:
    if undo.entry.kind in ("user", "group"):
        return Undo("keep", undo.entry, "files that are kept are its own")
    return undo


def uninstall(host: Host, undone: Sequence[Undo]) -> list[Undo]:
    """Stop the services of the lines, and do what was planned; return what stays.

    Raises:
        InstallError: a service does not stop, or something cannot be removed; the command can be repeated.
    """
    lines = sorted({undo.entry.line for undo in undone if undo.entry.line})
    for line in lines:
        if units := [name for name in instances(line) if _template_is_there(host, name)]:
            host.stop_and_disable(units)
    entries = install_record.read(host.root)
    stays: list[Undo] = []
    try:
        for undo in undone:
            if undo.doing == "remove":
                _remove(host, undo.entry)
            if undo.doing == "keep" or (undo.doing == "if empty" and not _leave_folder(host, undo.entry, entries)):
                stays.append(undo)
                continue
            entries.remove(undo.entry)
    except OSError as error:
        remedy = "run this as root." if error.errno in (errno.EACCES, errno.EPERM) else "mend that, and repeat this."
        raise InstallError(f"{error.filename} cannot be removed ({error.strerror}).", remedy) from None
    finally:
        install_record.write(host.root, entries)
    host.reload()
    return stays


def _remove(host: Host, entry: Entry) -> None:
    if entry.kind == "user":
        host.remove_accounts([entry.path], [])
    elif entry.kind == "group":
        host.remove_accounts([], [entry.path])
    elif entry.kind in ("data", "cache"):
        _remove_content(host, host.at(PurePosixPath(entry.path)))
    else:
        host.at(PurePosixPath(entry.path)).unlink()


def _remove_content(host: Host, path: Path) -> None:
    """Remove a folder with all that is in it.  A mount point is emptied, and root's from then on."""
    if not path.is_mount():
        shutil.rmtree(path)
        return
    for inside in path.iterdir():
        if inside.is_symlink() or not inside.is_dir():
            inside.unlink()
        elif inside.name != "lost+found":
            shutil.rmtree(inside)
    host.own(path, "root", "root")


def _leave_folder(host: Host, entry: Entry, entries: list[Entry]) -> bool:
    """Remove a folder where it is empty.  The record's own folder is, where nothing else is on record."""
    path = host.at(PurePosixPath(entry.path))
    if PurePosixPath(entry.path) == RECORD.parent and entries == [entry]:
        install_record.write(host.root, [])
    if path.is_symlink() or path.is_mount() or any(path.iterdir()):
        return False
    path.rmdir()
    return True


def _template_is_there(host: Host, instance: str) -> bool:
    return host.at(PurePosixPath("/etc/systemd/system") / f"{instance.partition('@')[0]}@.service").exists()


def _by_path(entries: Sequence[Entry]) -> dict[str, Entry]:
    return {f"{entry.kind} {entry.path}" if entry.kind in ("user", "group") else entry.path: entry for entry in entries}


# -- before -----------------------------------------------------------------------------------------------------------


def check_program(program: Path) -> None:
    """Check that the services' user will be able to run ``program``, and the Python of its environment.

    Raises:
        InstallError: one is no program, or lies in a folder that is closed to others or hidden from services.
    """
    python = program.parent / "python"  # a link: to the system's, or to one that somebody keeps at home
    files = [file.resolve() for file in (program, python) if file == program or os.path.lexists(file)]
    remedy = "make the environment in /opt/edge, with a Python that lies in /usr or /opt."
    for file in files:
        if hidden := [folder for folder in HIDDEN if file.is_relative_to(folder)]:
            raise InstallError(f"{program} needs {file}, and {hidden[0]} is hidden from services.", remedy)
    for file in files:
        try:
            runs = file.is_file() and file.stat().st_mode & stat.S_IXOTH
            closed = [folder for folder in file.parents if not folder.stat().st_mode & stat.S_IXOTH]
        except OSError as error:
            raise InstallError(f"{file}: {error.strerror}.", "name the services' program with --program.") from None
        if not runs:
            raise InstallError(f"{file} is no program for everybody.", "name the services' program with --program.")
        if closed:
            raise InstallError(f"{file}: {closed[0]} is closed to the services' user.", remedy)
