"""`edge users`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge.commands.users_cli import app
from edge.errors import ConfigError
from edge.monitor.web.users import Users

PASSWORD = "correct horse battery"


def run(*arguments: str, password: str = "") -> str:
    result = CliRunner().invoke(app, arguments, input=f"{password}\n")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_users_are_added_listed_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "users.toml"
    of = ("--file", str(file))
    assert "Nobody may log in." in run("list", *of)
    assert "may log in" in run("add", "anna", *of, password=PASSWORD)
    assert Users(file).check("anna", PASSWORD)
    assert "has a new password" in run("add", "anna", *of, password=PASSWORD + "!")
    assert Users(file).check("anna", PASSWORD + "!")
    run("add", "ben", *of, password=PASSWORD)
    assert run("list", *of).split() == ["anna", "ben"]
    assert '{"users": ["anna", "ben"]}' in run("list", "--json", *of)
    run("remove", "anna", *of)
    assert run("list", *of).split() == ["ben"]
    assert PASSWORD not in file.read_text()


def test_a_short_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="of 5 characters"):
        run("add", "anna", "--file", str(tmp_path / "users.toml"), password="short")
    assert not (tmp_path / "users.toml").exists()


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['argon2'] = None\n"
        "from edge.commands.users_cli import app\nfrom edge.errors import MissingExtra\n"
        f"try: app(['list', '--file', {str(tmp_path / 'u')!r}])\n"
        "except MissingExtra as error: print(error.remedy)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "edge-inspect[monitor]" in done.stdout
