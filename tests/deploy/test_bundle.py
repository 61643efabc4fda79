"""The air-gapped bundle: what goes into it, and its installer, which runs with real venvs and a real pip."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

from tests.deploy.support_bundles import (
    BUNDLE,
    ISOLATED,
    ROOT,
    linked,
    run,
    says,
    script,
    seal,
    tiny_bundle,
    tiny_wheel,
)

pytestmark = pytest.mark.timeout(600)  # of which a venv takes most, on a busy machine


@pytest.fixture(scope="module")
def make() -> ModuleType:
    sys.path.insert(0, str(BUNDLE))
    try:
        return script("make")
    finally:
        sys.path.remove(str(BUNDLE))


@pytest.fixture(scope="module")
def installer() -> ModuleType:
    return script("install")


# -- what goes into it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("python", "machine", "there", "missing"),
    [
        ("3.11", "x86_64", {"openvino", "onnxruntime"}, {"tomli", "sympy"}),
        ("3.11", "aarch64", {"onnxruntime"}, {"openvino", "openvino-telemetry", "tomli"}),
        ("3.10", "aarch64", {"tomli", "sympy"}, {"openvino", "colorama"}),
    ],
)
def test_the_locked_file_is_read_with_the_eyes_of_the_target(
    make: ModuleType, python: str, machine: str, there: set[str], missing: set[str]
) -> None:
    pins = make.pinned(ROOT / "requirements" / "runtime.txt", make.Target(python, machine))
    names = [Requirement(pin).name for pin in pins]
    assert there <= set(names)
    assert not missing & set(names)
    assert len(names) == len(set(names)), "one version each"
    assert all("==" in pin for pin in pins)


def test_what_the_target_has_can_be_left_out(make: ModuleType) -> None:
    target = make.Target("3.10", "aarch64")
    pins = make.pinned(ROOT / "requirements" / "runtime.txt", target, ["OpenCV_Python-Headless"])
    assert not [pin for pin in pins if pin.startswith("opencv")]


def test_wheels_of_newer_systems_than_those_served_are_not_taken(make: ModuleType) -> None:
    platforms = make.Target("3.10", "aarch64").platforms
    assert "manylinux_2_35_aarch64" in platforms
    assert "manylinux2014_aarch64" in platforms
    assert "manylinux_2_36_aarch64" not in platforms
    assert {name.rpartition("_aarch64")[1] for name in platforms} == {"_aarch64"}


# -- the installer ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(make: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a bundle, and the prefix into which it was installed once."""
    folder = tmp_path_factory.mktemp("installed")
    bundle = tiny_bundle(make, folder / "bundle", "1.0.0")
    done = run(bundle, "install", folder / "opt" / "edge", *ISOLATED)
    assert done.returncode == 0, done.stderr
    return bundle, folder / "opt" / "edge"


@pytest.mark.deploy
def test_it_installs_without_network_and_starts_through_the_link(installed: tuple[Path, Path]) -> None:
    _, prefix = installed
    assert says(prefix) == "1.0.0"
    assert (prefix / "bin" / "edge").read_text().startswith(f"#!{prefix}/bin/python")
    assert (prefix / "models" / "sim" / "model.onnx").read_bytes() == b"weights"
    assert prefix.is_symlink()
    command = [str(prefix / "bin" / "python"), "-c", "import sys; print(sys.prefix)"]
    seen = subprocess.run(command, capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == str(prefix), "what units and `edge install` name"


@pytest.mark.deploy
def test_an_update_changes_the_link_and_a_rollback_changes_it_back(
    make: ModuleType, installed: tuple[Path, Path], tmp_path: Path
) -> None:
    first, prefix = installed
    assert "nothing to go back to" in run(first, "rollback", prefix).stderr
    second = tiny_bundle(make, tmp_path / "second", "1.1.0")
    assert run(second, "install", prefix, *ISOLATED).returncode == 0
    assert says(prefix) == "1.1.0"
    for expected in ("1.0.0", "1.1.0", "1.0.0"):
        assert run(second, "rollback", prefix).returncode == 0
        assert says(prefix) == expected
    assert run(first, "install", prefix, *ISOLATED).returncode == 0, "the one in force, once more"
    assert says(prefix) == "1.0.0"


@pytest.mark.deploy
def test_a_release_that_cannot_be_finished_leaves_what_was_in_force(
    make: ModuleType, installed: tuple[Path, Path], tmp_path: Path
) -> None:
    _, prefix = installed
    before = says(prefix)
    incomplete = tiny_bundle(make, tmp_path / "incomplete", "2.0.0", requires="msgspec")
    done = run(incomplete, "install", prefix, *ISOLATED)
    assert done.returncode == 1
    assert "nothing is changed" in done.stderr
    assert says(prefix) == before
    assert not list(prefix.with_name("edge-releases").glob("2.0.0-*"))


@pytest.mark.deploy
def test_a_release_that_was_left_half_made_is_made_anew(make: ModuleType, tmp_path: Path) -> None:
    bundle = tiny_bundle(make, tmp_path / "bundle", "1.0.0")
    name = f"1.0.0-{make.sha256(bundle / 'SHA256SUMS')[:12]}"
    stray = tmp_path / "edge-releases" / name / "lib" / "stray"
    stray.parent.mkdir(parents=True)
    stray.write_text("the power is gone")
    assert run(bundle, "install", tmp_path / "edge", *ISOLATED).returncode == 0
    assert says(tmp_path / "edge") == "1.0.0"
    assert not stray.exists()


def test_whoever_interrupts_it_leaves_no_release(
    make: ModuleType, installer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(command: list[str], **_: object) -> None:
        Path(command[-1]).mkdir()  # the virtual environment
        raise KeyboardInterrupt

    monkeypatch.setattr(installer.subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        installer.install(tiny_bundle(make, tmp_path / "bundle", "1.0.0"), tmp_path / "edge")
    assert not list((tmp_path / "edge-releases").iterdir())
    assert not (tmp_path / "edge").exists()


@pytest.mark.deploy
def test_everybody_may_read_a_release_however_root_is_set_up(make: ModuleType, tmp_path: Path) -> None:
    bundle = tiny_bundle(make, tmp_path / "bundle", "1.0.0")
    for file in (bundle / "models" / "sim", bundle / "models" / "sim" / "model.onnx", bundle / "bundle.json"):
        file.chmod(0o700 if file.is_dir() else 0o600)  # as `tar` leaves it under that mask
    done = run(bundle, "install", tmp_path / "opt" / "edge", *ISOLATED, "sh", "-c", 'umask 077; exec "$@"', "sh")
    assert done.returncode == 0, done.stderr
    for item in (tmp_path / "opt").rglob("*"):
        assert item.is_symlink() or item.stat().st_mode & 0o005 >= (0o005 if item.is_dir() else 0o004), item


@pytest.mark.deploy
def test_what_was_left_out_is_the_system_s(make: ModuleType, installed: tuple[Path, Path], tmp_path: Path) -> None:
    bundle = tiny_bundle(make, tmp_path / "bundle", "1.0.0", left_out="opencv-python-headless")
    assert run(bundle, "install", tmp_path / "edge", *ISOLATED).returncode == 0
    seen = [
        "include-system-site-packages = true" in (prefix / "pyvenv.cfg").read_text()
        for prefix in (tmp_path / "edge", installed[1])
    ]
    assert seen == [True, False]


@pytest.mark.deploy
def test_pip_takes_the_wheel_that_is_meant_and_no_other(make: ModuleType, tmp_path: Path) -> None:
    bundle = tiny_bundle(make, tmp_path / "bundle", "1.0.0")
    wheel = tiny_wheel(bundle / "wheels", "1.0.0")
    with zipfile.ZipFile(wheel, "a") as other:
        other.writestr("edge/more.py", "")
    seal(make, bundle)  # the checksums are in order again, and requirements.txt is that of the bundle as it was made
    done = run(bundle, "install", tmp_path / "edge", *ISOLATED)
    assert done.returncode == 1
    assert "hash" in (done.stderr + done.stdout).lower()


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda b: (b / "models/sim/model.onnx").write_bytes(b"weightz"), "model.onnx is changed"),
        (lambda b: (b / "requirements.txt").unlink(), "requirements.txt is missing"),
        (lambda b: (b / "wheels/extra.whl").write_bytes(b""), "extra.whl is not listed"),
        (lambda b: (b / "link").symlink_to("/etc"), "link is not listed"),
        (lambda b: linked(b / "bundle.json"), "bundle.json is a link"),
        (lambda b: (b / "SHA256SUMS").write_text(""), "is not listed"),
        (lambda b: (b / "SHA256SUMS").unlink(), "cannot be read"),
    ],
)  # fmt: skip
def test_a_damaged_bundle_is_refused(make: ModuleType, tmp_path: Path, damage: object, word: str) -> None:
    bundle = tiny_bundle(make, tmp_path / "bundle", "1.0.0")
    assert run(bundle, "verify", tmp_path / "edge").returncode == 0
    assert callable(damage)
    damage(bundle)
    for command in ("verify", "install"):
        done = run(bundle, command, tmp_path / "edge")
        assert (done.returncode, word in done.stderr) == (1, True), done.stderr
    assert not (tmp_path / "edge").exists()


@pytest.mark.parametrize(
    ("about", "word"),
    [
        ({"machine": "riscv64"}, "the bundle is for riscv64"),
        ({"python": "3.9"}, "run python3.9"),
        ({"glibc": "2.99"}, "2.99 is needed"),
    ],
)
def test_a_bundle_for_another_machine_is_refused(
    make: ModuleType, tmp_path: Path, about: dict[str, str], word: str
) -> None:
    done = run(tiny_bundle(make, tmp_path / "bundle", "1.0.0", **about), "install", tmp_path / "edge")
    assert done.returncode == 1
    assert word in done.stderr
    assert not (tmp_path / "edge-releases").exists()


def test_what_is_no_link_is_not_replaced(make: ModuleType, tmp_path: Path) -> None:
    prefix = tmp_path / "edge"
    prefix.mkdir()
    done = run(tiny_bundle(make, tmp_path / "bundle", "1.0.0"), "install", prefix)
    assert done.returncode == 1
    assert "move it away" in done.stderr
    assert prefix.is_dir()


def test_versions_are_compared_as_numbers(installer: ModuleType) -> None:
    assert installer._numbers("2.9") < installer._numbers("2.35")


# -- the whole --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a bundle for this machine, with everything in it; return its folder."""
    out = tmp_path_factory.mktemp("dist")
    config = out / "line.toml"
    config.write_text("# of this plant\n")
    command = [sys.executable, str(BUNDLE / "make.py"), "--out", str(out), "--config", str(config)]
    subprocess.run(command, check=True, timeout=900)
    return next(path for path in out.iterdir() if path.is_dir())


@pytest.mark.deploy
@pytest.mark.timeout(1800)
def test_the_whole_is_installed_without_network_and_decides(whole: Path, tmp_path: Path) -> None:
    prefix = tmp_path / "opt" / "edge"
    done = run(whole, "install", prefix, *ISOLATED)
    assert done.returncode == 0, done.stderr
    config = tmp_path / "station.toml"
    config.write_text(
        f'model = {{ package = "{prefix}/models/sim-strip" }}\nrecipe = {{ rules = [{{ name = "any" }}] }}\n'
        f'gateway = {{ endpoint = "none" }}\ntelemetry = {{ endpoint = "ipc://{tmp_path}/t" }}\n'
        f'camera = {{ kind = "folder", source = "{tmp_path}" }}\ntrigger = {{ kind = "timer" }}\n'
    )
    command = [*ISOLATED, str(prefix / "bin" / "edge"), "doctor", str(config), "--json"]
    told = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", timeout=120)
    found = {finding["name"]: finding for finding in json.loads(told.stdout)["findings"]}
    assert "passed the golden gate" in found[f"{config}: model"]["detail"]
    assert (prefix / "config" / "line.toml").read_text() == "# of this plant\n"
    assert (prefix / "share" / "edge" / "systemd").is_dir(), "what `edge install` copies"
    # The demo's processes meet on the loopback, which the namespace has not; of the checkout they see nothing.
    demo = [str(prefix / "bin" / "edge"), "demo", "--parts", "20", "--json"]
    shown = subprocess.run(demo, capture_output=True, text=True, check=False, cwd="/", timeout=120)
    assert shown.returncode == 0, shown.stderr
    assert json.loads(shown.stdout)["reconciled"]


@pytest.mark.deploy
def test_the_bill_of_materials_is_valid_and_names_every_file(whole: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = (whole / "sbom.cdx.json").read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    parts = [*bill["components"], bill["metadata"]["component"]]
    digests = {entry["content"] for part in parts for entry in part["hashes"]}
    files = [*(whole / "wheels").iterdir(), *(whole / "models").glob("*/model.onnx")]
    assert digests == {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert not [part["name"] for part in parts if "licenses" not in part]
    needs = {entry["ref"]: set(entry.get("dependsOn", [])) for entry in bill["dependencies"]}
    names = {ref.partition("@")[0] for ref in needs[bill["metadata"]["component"]["bom-ref"]]}
    assert {"pkg:pypi/numpy", "pkg:pypi/pyzmq", "pkg:pypi/onnxruntime"} <= names


@pytest.mark.deploy
def test_every_wheel_of_the_whole_is_for_this_machine(whole: Path) -> None:
    pure = Tag("py3", "none", "any")
    for wheel in (whole / "wheels").iterdir():
        tags = parse_wheel_filename(wheel.name)[3]
        assert any(tag.platform.endswith(platform.machine()) or tag.platform == pure.platform for tag in tags), wheel
    assert (whole.parent / f"{whole.name}.tar").exists()
