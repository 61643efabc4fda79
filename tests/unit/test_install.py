"""`edge install` into a folder that stands for a machine, and `edge uninstall` out of it.  Users are made for real."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath

import pytest

from edge import config
from edge.commands import install, install_sources
from edge.commands.config_edit import meaning
from edge.commands.install_host import Host
from edge.commands.install_layout import Wanted, layout
from edge.errors import InstallError
from edge.wire.keys import read_public, read_secret
from tests.support_install import ETC, VAR, accounts, empty_machine, everything, run

pytestmark = pytest.mark.deploy


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an empty machine's root."""
    return empty_machine(tmp_path)


def test_a_dry_run_names_everything_and_makes_nothing(root: Path) -> None:
    before = everything(root)
    said = run(root, "install", "line-1", "--dry-run")
    assert everything(root) == before
    assert accounts(root) == {"root": 0}
    run(root, "install", "line-1", "--yes")
    for name in everything(root):
        if name.startswith(("etc/edge", "etc/systemd/system/", "var/lib/edge/line")):
            assert f"/{name.replace('.pub', '.key')}" in said, name


def test_without_a_yes_and_nobody_to_ask_nothing_is_done(root: Path) -> None:
    before = everything(root)
    run(root, "install", "line-1", code=InstallError.exit_code)
    assert everything(root) == before


def test_everything_has_its_owner_and_mode(root: Path) -> None:
    run(root, "install", "line-1", "--yes")
    found, users, groups = everything(root), accounts(root), Host(root).names("group")
    edge, monitor = users["edge"], users["edge-monitor"]
    assert {mode for name, (mode, *_) in found.items() if name.endswith(".service")} == {0o644}
    for name, mode, owner, group in (
        (ETC, 0o750, 0, groups["edge"]),
        (f"{ETC}/station.toml", 0o640, 0, groups["edge"]),
        (f"{ETC}/users.toml", 0o640, 0, groups["edge-monitor"]),
        (f"{ETC}/keys/station-line-1.key", 0o600, edge, groups["edge"]),
        (f"{ETC}/keys/station-line-1.pub", 0o644, 0, 0),
        (f"{VAR}/evidence", 0o750, edge, groups["edge"]),
        (f"{VAR}/monitor", 0o750, monitor, groups["edge-monitor"]),
        ("var/cache/edge/line-1", 0o750, edge, groups["edge"]),
    ):
        assert found[name][:3] == (mode, owner, group), name
    assert "edge" in (root / "etc/group").read_text().split("video:")[1].splitlines()[0]


def test_the_keys_can_be_used_by_who_owns_them(root: Path) -> None:
    run(root, "install", "line-1", "--yes")
    keys = root / ETC / "keys"
    assert read_public(keys / "gateway-line-1.pub") != read_public(keys / "station-line-1.pub")
    secret = keys / "gateway-line-1.key"
    os.chown(secret, 0, 0)  # the test is root, and not edge
    assert read_secret(secret).public == read_public(keys / "gateway-line-1.pub")


def test_the_configurations_load_and_speak_with_each_other(root: Path) -> None:
    run(root, "install", "line-1", "--yes")
    station = config.load(root / ETC / "station.toml", config.StationConfig)
    gateway = config.load(root / ETC / "gateway.toml", config.GatewayConfig)
    monitor = config.load(root / ETC / "monitor.toml", config.MonitorConfig)
    assert station.gateway.endpoint == gateway.bind == "ipc:///run/edge/line-1-gateway/link"
    assert station.line == gateway.line
    assert {station.telemetry.mode, gateway.telemetry.mode, station.evidence.mode} == {"0660"}
    assert (monitor.station, monitor.gateway) == ("/etc/edge/line-1/station.toml", "/etc/edge/line-1/gateway.toml")
    assert station.journal.folder != gateway.journal.folder
    text = "\n".join((root / ETC / f"{name}.toml").read_text() for name in ("station", "gateway", "monitor"))
    assert '"/tmp' not in text
    assert "ipc:///tmp" not in text
    assert '# key = "/etc/edge/line-1/keys/station-line-1.key"' in text
    assert "line-1/line-1" not in text


def test_every_folder_that_a_configuration_names_is_one_of_its_service(root: Path) -> None:
    """The units allow no other: ProtectSystem=strict, StateDirectory= and RuntimeDirectory=."""
    run(root, "install", "line-1", "--yes")
    for role in ("station", "gateway", "monitor"):
        unit = (root / f"etc/systemd/system/edge-{role}@.service").read_text().replace("%i", "line-1")
        values = [line.partition("=")[2].split() for line in unit.splitlines() if line.startswith("StateDirectory=")]
        owned = [f"/var/lib/{name}" for name in values[0]]
        owned += [f"/var/cache/{line.partition('=')[2]}" for line in unit.splitlines() if "CacheDirectory=" in line]
        owned += [f"/run/edge/line-1-{role}"]
        for key, path in paths(meaning((root / ETC / f"{role}.toml").read_text(), role)):
            if role == "station" and key == "gateway.endpoint":
                continue  # the gateway's
            if path.startswith(("/var", "/run")):
                assert any(path.startswith(f"{folder}/") or path == folder for folder in owned), (role, key, path)
        for folder in owned[:-1]:
            assert (root / folder[1:]).is_dir(), folder


def paths(values: dict[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Return all paths among the values of a configuration, by key."""
    found = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += paths(value, f"{key}.")
        elif isinstance(value, str) and value.removeprefix("ipc://").startswith("/"):
            found.append((prefix + key, value.removeprefix("ipc://")))
    return found


def test_a_second_time_nothing_is_to_be_done(root: Path) -> None:
    run(root, "install", "line-1", "--yes")
    before = everything(root)
    assert "Nothing is to be done." in run(root, "install", "line-1", "--yes")
    assert everything(root) == before


def test_what_was_made_is_undone_to_the_last_trace(root: Path) -> None:
    before = everything(root)
    run(root, "install", "line-1", "--yes")
    run(root, "uninstall", "--yes")
    after = everything(root)
    empty = set(after) - set(before)
    assert empty <= {
        "etc/systemd",
        "etc/systemd/system",
        "etc/sysusers.d",
        "etc/udev",
        "etc/udev/rules.d",
        "var",
        "var/cache",
        "var/lib",
    }
    assert accounts(root) == {"root": 0}
    assert set(Host(root).names("group")) == {"root"}
    assert "Nothing" in run(root, "uninstall", "--yes")


def test_what_a_person_changed_stays_on_both_ways(root: Path) -> None:
    run(root, "install", "line-1", "--yes")
    unit = root / "etc/systemd/system/edge-station@.service"
    settings = root / ETC / "station.toml"
    for file in (unit, settings):
        file.write_text(file.read_text() + "\n# mine\n")
    said = run(root, "install", "line-1", "--yes")
    assert f"KEEP    /{unit.relative_to(root)}  (changed by hand)" in said
    run(root, "uninstall", "--yes")
    assert unit.read_text().endswith("# mine\n")
    assert settings.read_text().endswith("# mine\n")
    assert (root / ETC / "keys/station-line-1.key").exists(), "a line that was configured keeps its keys"
    assert not (root / ETC / "gateway.toml").exists(), "nobody changed it"
    assert "edge" in accounts(root), "who owns what is kept"
    run(root, "uninstall", "--yes", "--purge-settings")
    assert not (root / "etc/edge").exists()
    assert unit.exists(), "a unit that was changed is a person's"


def test_a_new_version_renews_the_units_and_leaves_the_configuration(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(root, "install", "line-1", "--yes")
    read = install_sources.read
    monkeypatch.setattr(install_sources, "read", lambda name, file: read(name, file) + "# new\n")
    said = run(root, "install", "line-1", "--yes")
    assert "update  /etc/systemd/system/edge-station@.service" in said.replace("update ", "update  ").replace(
        "   ", "  "
    )
    assert (root / "etc/systemd/system/edge-station@.service").read_text().endswith("# new\n")
    assert not (root / ETC / "station.toml").read_text().endswith("# new\n")
    run(root, "uninstall", "--yes")
    assert not (root / "etc/systemd/system/edge-station@.service").exists()


def test_what_was_there_before_is_not_ours_to_remove(root: Path) -> None:
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nedge:x:1234:1234::/:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nedge:x:1234:\nvideo:x:44:\n")
    rule = root / "etc/udev/rules.d/60-edge.rules"
    rule.parent.mkdir(parents=True)
    rule.write_text("# the plant's own\n")
    (root / "etc/edge").mkdir()
    run(root, "install", "line-1", "--yes")
    assert accounts(root)["edge"] == 1234
    assert rule.read_text() == "# the plant's own\n"
    run(root, "uninstall", "--yes")
    assert accounts(root) == {"root": 0, "edge": 1234}
    assert set(Host(root).names("group")) == {"root", "edge", "video"}
    assert rule.exists()
    assert (root / "etc/edge").is_dir()


@pytest.mark.parametrize("purge", [False, True])
def test_the_record_of_every_part_goes_only_when_told(root: Path, purge: bool) -> None:
    run(root, "install", "line-1", "--yes")
    journal, picture = root / VAR / "station/journal/2026-11-22.sqlite", root / VAR / "evidence/1.jpg"
    journal.parent.mkdir()
    journal.write_text("parts")
    picture.write_text("picture")
    run(root, "uninstall", "--yes", *(["--purge-data"] if purge else []))
    assert journal.exists() is not purge
    assert picture.exists() is not purge
    assert ("edge" in accounts(root)) is not purge, "a new user could get the number of one that is gone"
    assert not (root / VAR / "gateway").exists(), "it was empty"
    if not purge:
        run(root, "uninstall", "--yes", "--purge-data")
        assert not (root / "var/lib/edge").exists()


def test_lines_share_what_they_share(root: Path) -> None:
    run(root, "install", "line-1", "--yes")
    run(root, "install", "line-2", "--yes")
    ports = [config.load(root / f"etc/edge/line-{n}/monitor.toml", config.MonitorConfig).port for n in (1, 2)]
    assert ports == [9464, 9465]
    run(root, "uninstall", "line-1", "--yes")
    assert not (root / ETC).exists()
    assert (root / "etc/edge/line-2/station.toml").exists()
    assert (root / "etc/systemd/system/edge-station@.service").exists()
    assert "edge" in accounts(root)
    run(root, "uninstall", "line-3", "--yes", code=InstallError.exit_code)
    run(root, "uninstall", "line-2", "--yes")
    assert not (root / "etc/systemd/system/edge-station@.service").exists()
    assert accounts(root) == {"root": 0}


def test_a_line_gets_a_port_that_no_other_line_has(root: Path) -> None:
    run(root, "install", "line-1", "--yes")
    run(root, "install", "line-2", "--yes")
    run(root, "uninstall", "line-1", "--yes")
    by_hand = root / "etc/edge/by-hand/monitor.toml"
    by_hand.parent.mkdir()
    by_hand.write_text("port = 9464\nnonsense = [\n")
    run(root, "install", "line-3", "--yes")
    assert config.load(root / "etc/edge/line-3/monitor.toml", config.MonitorConfig).port == 9466


def test_a_machine_may_have_one_role_of_a_line(root: Path) -> None:
    run(root, "install", "line-1", "--yes", "--role", "gateway")
    names = everything(root)
    assert f"{ETC}/gateway.toml" in names
    assert not [name for name in names if "station" in name or "monitor.toml" in name]
    run(root, "install", "line-1", "--yes", "--role", "monitor", "--role", "nobody", code=InstallError.exit_code)


@pytest.mark.parametrize(
    ("roles", "user", "home"),
    [
        ("gateway station monitor", "edge", "station"),
        ("gateway", "edge", "gateway"),
        ("station monitor", "edge", "station"),
        ("monitor", "edge-monitor", "monitor"),
    ],
)
def test_the_doctor_that_is_named_next_may_write_where_it_looks(root: Path, roles: str, user: str, home: str) -> None:
    """Without EDGE_STATE it would look into root's HOME, which setpriv leaves as it is."""
    said = run(root, "install", "line-1", "--yes", *(f"--role={role}" for role in roles.split()))
    assert f"setpriv --reuid={user} --regid={user}" in said
    assert f" env EDGE_STATE=/{VAR}/{home} edge doctor /etc/edge/line-1/" in said
    assert everything(root)[f"{VAR}/{home}"][1] == accounts(root)[user]


def test_the_services_run_the_program_that_was_named(root: Path) -> None:
    run(root, "install", "line-1", "--yes", "--program", "/srv/edge/bin/edge", "--models", "/srv/models")
    for role, command in (("station", "run"), ("gateway", "gateway"), ("monitor", "monitor --config")):
        unit = (root / f"etc/systemd/system/edge-{role}@.service").read_text()
        assert f"ExecStart=/srv/edge/bin/edge {command} /etc/edge/%i/{role}.toml\n" in unit
    assert config.load(root / ETC / "station.toml", config.StationConfig).model.package == "/srv/models/sim-strip"


def test_the_record_is_written_before_anything_is_made(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So whatever ends the command early, `edge uninstall` knows of all that is there."""
    before = everything(root)
    host = Host(root)
    wanted = Wanted("line-1", ("gateway",), PurePosixPath("/opt/edge/bin/edge"), PurePosixPath("/opt/edge/models"))
    planned = install.plan(host, layout(wanted))
    made = 0

    def own(self: Host, path: Path, owner: str, group: str) -> None:  # noqa: ARG001
        nonlocal made
        made += 1
        if made == 7:
            raise InstallError("The power is gone.", "wait.")

    monkeypatch.setattr(Host, "own", own)
    with pytest.raises(InstallError):
        install.install(host, planned)
    assert len(everything(root)) > len(before) + 5
    monkeypatch.undo()
    run(root, "uninstall", "--yes")
    assert not {name for name in everything(root).keys() - before.keys() if "edge" in name}


def test_a_damaged_record_is_refused_and_a_symlink_is_not_followed(root: Path) -> None:
    run(root, "install", "line-1", "--yes")
    target = root / "precious"
    target.write_text("precious")
    unit = root / "etc/systemd/system/edge-station@.service"
    unit.unlink()
    unit.symlink_to(target)
    run(root, "install", "line-1", "--yes")
    assert target.read_text() == "precious"
    record = root / "var/lib/edge/install.json"
    assert json.loads(record.read_text())["version"] == 1
    record.write_text("{}")
    assert "damaged" in run(root, "uninstall", "--yes", code=InstallError.exit_code)
