"""A folder that stands for a machine, for the tests of `edge install`.  Users are made in it for real."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from typer.testing import CliRunner

from edge.cli import app
from edge.commands.install_host import Host
from edge.errors import ConfigError, InstallError
from tests.support_tools import lack, need

ETC = "etc/edge/line-1"
VAR = "var/lib/edge/line-1"


def empty_machine(tmp_path: Path) -> Path:
    """Return an empty machine's root, with root as its only user."""
    if os.geteuid() != 0:
        lack("makes users and gives files away: needs root")
    need("systemd-sysusers", "systemd")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\n")
    return tmp_path


def run(root: Path, *arguments: str, code: int = 0) -> str:
    """Run a command on the machine; return what it printed."""
    result = CliRunner().invoke(app, [*arguments, "--root", str(root)])
    if isinstance(result.exception, ConfigError | InstallError):
        assert code == result.exception.exit_code, result.exception
        return str(result.exception)
    assert result.exit_code == code, result.output
    return result.output


def everything(root: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return mode, owner, group and content of all there is, but for what the tools for users leave behind."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if name.startswith(("etc/passwd", "etc/group", "etc/shadow", "etc/gshadow", "etc/subuid", "etc/subgid")):
            continue
        if name in ("etc/.pwd.lock", "tmp", "run"):
            continue
        status = path.lstat()
        data = path.read_bytes() if path.is_file() else b""
        found[name] = (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, data)
    return found


def accounts(root: Path) -> dict[str, int]:
    """Return the machine's users."""
    return Host(root).names("passwd")
