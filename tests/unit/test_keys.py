"""Key files, the allow-list, `edge keys`, and what a configuration must say about them."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from edge.commands import check, doctor, protection
from edge.commands.keys_cli import app
from edge.config import GatewayConfig, SecurityConfig, StationConfig, parse
from edge.config.line import stays_on_host
from edge.errors import ConfigError
from edge.wire.allow import Binding, Rights, read_allowed, write_allowed
from edge.wire.keys import ClientKeys, KeyPair, client_keys, generate, read_public, read_secret, write_pair
from tests.support_curve import Cast, Served

RECIPE = {"rules": [{"name": "any"}]}
TCP = "tcp://10.0.0.1:5570"


def test_a_pair_is_written_and_read_again_and_its_secret_is_for_one_user(tmp_path: Path) -> None:
    pair = generate()
    before = os.umask(0)
    try:
        secret, public = write_pair(pair, "station-1", tmp_path / "new")
    finally:
        os.umask(before)
    assert (secret.name, public.name) == ("station-1.key", "station-1.pub")
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert read_secret(secret) == pair
    assert read_public(public) == pair.public
    assert pair.secret not in public.read_text()
    assert pair.secret not in repr(pair)


def test_no_key_is_overwritten_and_half_a_pair_is_none(tmp_path: Path) -> None:
    write_pair(generate(), "a", tmp_path)
    with pytest.raises(ConfigError, match="exists"):
        write_pair(generate(), "a", tmp_path)
    (tmp_path / "b.pub").touch()
    with pytest.raises(ConfigError, match=r"b\.pub exists"):
        write_pair(generate(), "b", tmp_path)
    assert not (tmp_path / "b.key").exists()


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 65, "a b", "a\n"])
def test_a_name_is_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot name a key"):
        write_pair(generate(), name, tmp_path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o644])
def test_a_secret_that_others_may_use_is_refused(mode: int, tmp_path: Path) -> None:
    secret, _ = write_pair(generate(), "a", tmp_path)
    secret.chmod(mode)
    with pytest.raises(ConfigError, match=f"mode {mode:04o}"):
        read_secret(secret)


def test_a_secret_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, _ = write_pair(generate(), "a", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    if secret.stat().st_uid == 0:
        assert read_secret(secret), "root may give a key to a service"
        os.chown(secret, 54321, -1)
    with pytest.raises(ConfigError, match="belongs to user"):
        read_secret(secret)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "public"),
        ("public = 3", "public"),
        ('public = "short"\nsecret = "short"', "public"),
        ("secret = ", "Invalid"),
        ('public = "%(a)s"\nsecret = "%(b)s"', "halves"),
        ('public = "%(a)s"\nsecret = "%(b)s"\nmore = 1', "more"),
        ("\udcff", "utf-8"),
    ],
)
def test_what_is_no_pair_is_refused_without_showing_it(text: str, word: str, tmp_path: Path) -> None:
    a, b = generate(), generate()
    path = tmp_path / "x.key"
    path.write_bytes((text % {"a": a.public, "b": b.secret}).encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=word) as raised:
        read_secret(path)
    assert b.secret not in str(raised.value)


def test_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    for read in (read_secret, read_public, read_allowed):
        with pytest.raises(ConfigError, match=r"nothing.*cannot be read"):
            read(tmp_path / "nothing")


lists = st.lists(
    st.tuples(
        st.text(st.sampled_from("abcXYZ019.-:+=^!/*?&<>()[]{}@%$#"), min_size=40, max_size=40),
        st.text(min_size=1, max_size=20).filter(lambda t: all(c.isprintable() for c in t)),
        st.integers(0, 255),
    ),
    max_size=5,
    unique_by=lambda entry: entry[0],
)


@settings(deadline=None)  # a disk takes its time
@given(lists)
def test_an_allow_list_is_read_as_it_was_written(entries: list[tuple[str, str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "allow.toml"
        bindings = [Binding(*entry) for entry in entries]
        write_allowed(path, bindings)
        assert list(read_allowed(path).bindings) == bindings
        assert [p.name for p in Path(folder).iterdir()] == ["allow.toml"], "nothing else is left"


@given(lists)
def test_every_binding_has_a_token_of_its_own(entries: list[tuple[str, str, int]]) -> None:
    rights = Rights(Binding(*entry) for entry in entries)
    tokens = [rights.token(key) for key, _, _ in entries]
    assert len(set(tokens)) == len(tokens)
    for (key, station, lane), token in zip(entries, tokens, strict=True):
        assert token is not None
        bound = rights.of_token(token)
        assert bound is not None
        assert (bound.key, bound.station, bound.lane) == (key, station, lane)
        assert Binding(key, station, lane ^ 1).token != token
        assert Binding(key, station + "x", lane).token != token
    assert rights.token("nobody") is None
    assert rights.of_token(b"nobody") is None
    assert rights.of_key("nobody") is None


def test_a_list_that_others_may_write_or_that_is_ambiguous_is_refused(tmp_path: Path) -> None:
    path, key = tmp_path / "allow.toml", generate().public
    write_allowed(path, [Binding(key, "a", 0), Binding(key, "b", 0)])
    with pytest.raises(ConfigError, match="listed twice"):
        read_allowed(path)
    write_allowed(path, [])
    for mode in (0o664, 0o646):
        path.chmod(mode)
        with pytest.raises(ConfigError, match=f"{mode:04o}"):
            read_allowed(path)
    for text in ("[[allow]]\nkey = 'short'\nstation = 's'\nlane = 0", "[[allow]]\nlane = 256", "other = 1"):
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o644)
        with pytest.raises(ConfigError):
            read_allowed(path)


def test_the_commands_from_new_to_revoked(tmp_path: Path) -> None:
    run, allow = CliRunner(), tmp_path / "allow.toml"
    for name in ("station-1", "station-2"):
        assert run.invoke(app, ["new", name, "--out", str(tmp_path)]).exit_code == 0
        public = str(tmp_path / f"{name}.pub")
        assert run.invoke(app, ["allow", str(allow), public, "--station", name, "--lane", "1"]).exit_code == 0
    moved = ["allow", str(allow), str(tmp_path / "station-1.pub"), "--station", "station-1", "--lane", "2"]
    assert run.invoke(app, moved).exit_code == 0
    listed = json.loads(run.invoke(app, ["list", str(allow), "--json"]).stdout)["allow"]
    assert [(entry["station"], entry["lane"]) for entry in listed] == [("station-2", 1), ("station-1", 2)]
    assert run.invoke(app, ["revoke", str(allow), str(tmp_path / "station-2.pub")]).exit_code == 0
    assert "station-2" not in run.invoke(app, ["list", str(allow)]).stdout
    again = run.invoke(app, ["revoke", str(allow), str(tmp_path / "station-2.pub")])
    assert isinstance(again.exception, ConfigError)


# -- configuration ----------------------------------------------------------------------------------------------------


def station(endpoint: str, **security: str) -> StationConfig:
    return parse({"recipe": RECIPE, "gateway": {"endpoint": endpoint}, "security": security}, StationConfig, "s")


def gateway(bind: str, **security: str) -> GatewayConfig:
    return parse({"bind": bind, "security": security}, GatewayConfig, "g")


@pytest.mark.parametrize("endpoint", [TCP, "tcp://127.0.0.1:1", "tcp://*:5570", "tcp://[::1]:5"])
def test_tcp_needs_keys_at_both_ends_loopback_included(endpoint: str) -> None:
    for partial in ({}, {"key": "k"}):
        with pytest.raises(ConfigError, match=r"needs security\.key and security\.server_key"):
            station(endpoint, **partial)
        with pytest.raises(ConfigError, match=r"needs security\.key and security\.allow"):
            gateway(endpoint, **partial)
    assert station(endpoint, key="k", server_key="p").gateway.endpoint == endpoint
    assert gateway(endpoint, key="k", allow="a").bind == endpoint


def test_a_key_that_would_not_be_applied_is_refused() -> None:
    for security in ({"key": "k"}, {"server_key": "p"}):
        with pytest.raises(ConfigError, match="would not be applied"):
            station("ipc:///tmp/x", **security)
    for security in ({"key": "k"}, {"allow": "a"}):
        with pytest.raises(ConfigError, match="would not be applied"):
            gateway("ipc:///tmp/x", **security)
    with pytest.raises(ConfigError, match="other end"):
        gateway(TCP, key="k", allow="a", server_key="p")
    with pytest.raises(ConfigError, match="other end"):
        station(TCP, key="k", server_key="p", allow="a")
    with pytest.raises(ConfigError, match="would not be applied"):
        station("none", key="k")


@pytest.mark.parametrize("endpoint", ["tcp://*:1", "tcp://0.0.0.0:1", "tcp://10.0.0.1:1", "tcp://127.evil.example:1"])
def test_telemetry_stays_on_its_host(endpoint: str) -> None:
    assert not stays_on_host(endpoint)
    with pytest.raises(ConfigError, match="unprotected"):
        parse({"recipe": RECIPE, "telemetry": {"endpoint": endpoint}}, StationConfig, "s")
    with pytest.raises(ConfigError, match="unprotected"):
        parse({"telemetry": {"endpoint": endpoint}}, GatewayConfig, "g")


@pytest.mark.parametrize(
    "endpoint",
    ["ipc://@abstract", "ipc://\0x", "ipc:///a\0b", "tcp://h:0", "tcp://h:65536", "tcp://h:99999", "tcp://a:1;b:2"],
)
def test_what_is_no_endpoint_with_a_file_or_a_port_is_refused(endpoint: str) -> None:
    with pytest.raises(ConfigError, match="bind"):
        gateway(endpoint, key="k", allow="a")


@pytest.mark.parametrize("port", [1, 9999, 10000, 59999, 65529, 65535])
def test_every_port_that_there_is_may_be_named(port: int) -> None:
    assert gateway(f"tcp://h:{port}", key="k", allow="a").bind.endswith(f":{port}")


# -- check and doctor -------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Cast]:
    cast = Cast.new()
    write_pair(cast.gateway, "gateway", tmp_path)
    write_pair(cast.station, "station", tmp_path)
    write_allowed(tmp_path / "allow.toml", [cast.binding])
    return tmp_path, cast


def test_check_says_who_may_speak_and_what_is_unprotected(files: tuple[Path, Cast]) -> None:
    folder, cast = files
    path = folder / "gateway.toml"
    path.write_text(
        f'lane = 3\nbind = "tcp://*:5570"\n[plc]\nhost = "10.0.0.2"\n[control]\npath = "/tmp/c"\nmode = "0666"\n'
        f'[security]\nkey = "{folder}/gateway.key"\nallow = "{folder}/allow.toml"\n'
    )
    text = check.render(check.check(path))
    assert f"CURVE, key {cast.gateway.public}; may speak: station-1" in text
    assert "Modbus has no protection" in text
    assert "lets every user of this host command" in text
    assert "listens on every network" in text
    findings = {f.name: f for f in doctor.examine([path])}
    assert findings[f"{path}: PLC link"].status == "warn"
    assert findings[f"{path}: signal path"].status == "ok"
    (folder / "gateway.key").chmod(0o644)
    with pytest.raises(ConfigError, match="0644"):
        check.check(path)
    assert {f.name: f.status for f in doctor.examine([path])}[f"{path}: signal path"] == "fail"


def test_a_list_for_other_lanes_only_is_refused_by_check(files: tuple[Path, Cast]) -> None:
    folder, _ = files
    config = gateway(TCP, key=f"{folder}/gateway.key", allow=f"{folder}/allow.toml")
    with pytest.raises(ConfigError, match="lets nobody speak on lane 0"):
        protection.signal_path(config)


def test_an_ipc_socket_for_all_users_is_named() -> None:
    assert [gap.what for gap in private_gaps(ipc_mode="0666")] == ["socket file"]
    assert not list(private_gaps(ipc_mode="0660"))


def private_gaps(folder: str = "/nowhere", **security: str) -> list[protection.Gap]:
    values = {
        "bind": f"ipc://{folder}/g",
        "telemetry": {"endpoint": f"ipc://{folder}/t"},
        "control": {"path": f"{folder}/c"},
        "security": security,
    }
    return list(protection.gaps(parse(values, GatewayConfig, "g")))


@pytest.mark.parametrize(("mode", "named"), [(0o755, False), (0o770, False), (0o777, True), (0o1777, True)])
def test_sockets_where_every_user_may_put_his_own_are_named(mode: int, named: bool, tmp_path: Path) -> None:
    tmp_path.chmod(mode)
    found = private_gaps(str(tmp_path))
    assert [gap.what for gap in found] == ["socket folder"] * named
    assert all("/run/edge" in gap.remedy and f"{tmp_path}/c" in gap.detail for gap in found)


@pytest.mark.parametrize("wrong", ["", "own", "server", "nobody"])
def test_doctor_makes_the_handshake_and_says_what_keeps_it_out(files: tuple[Path, Cast], wrong: str) -> None:
    folder, cast = files
    keys = client_keys(SecurityConfig(key=f"{folder}/station.key", server_key=f"{folder}/gateway.pub"))
    assert keys == cast.client()
    if wrong == "own":
        keys = cast.client(cast.stranger)
    elif wrong == "server":
        keys = ClientKeys(cast.station, cast.stranger.public)
    said: list[str] = []
    with zmq.Context[zmq.Socket[bytes]]() as context:
        served = Served(context, cast)
        endpoint = served.endpoint if wrong != "nobody" else "tcp://127.0.0.1:9"
        thread = threading.Thread(target=lambda: said.append(protection.handshake(endpoint, keys)))
        with closing(served.router):
            thread.start()
            while thread.is_alive():
                served.turn()
        thread.join()
    expected = {"": "", "own": "does not know our key", "server": "is not its key", "nobody": "nobody answers"}[wrong]
    assert said[0] == "" if not expected else expected in said[0]


def test_a_pair_is_a_pair() -> None:
    made = generate()
    assert made == KeyPair(made.public, made.secret)
    assert zmq.curve_public(made.secret.encode()).decode() == made.public
