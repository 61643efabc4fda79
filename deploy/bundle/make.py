"""Make an air-gapped bundle: one archive from which a machine without network installs everything.

    python deploy/bundle/make.py --out dist --machine aarch64 --python 3.10

It holds the wheels of the locked requirements and of this project, model packages, example configurations, units, the
plant's own configurations where they are given, checksums, a CycloneDX SBOM, and ``install.py``, which installs it.
See docs/offline.md.  Needs the development requirements, and the network.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from sbom import write_sbom

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("edge", "systemd", "deploy", "pyproject.toml", "README.md", "LICENSE")
"""What this project's wheel is built from, copied so that nothing is left behind in the tree."""
EXAMPLES = ("systemd", "deploy/udev", "deploy/station.toml", "deploy/gateway.toml", "deploy/monitor.toml")
"""Units and example configurations, to be read before anything is installed; `edge install` has its own copies."""
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
GLIBC = 35
"""Minor version of the C library 2.x: of Ubuntu 22.04 (JetPack 6), the oldest system served; Debian 12 has 2.36."""
_OLDEST_GLIBC = 5
_NAMED = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}
"""Names that wheels had before PEP 600, and the C library that they mean."""
_JUNK = shutil.ignore_patterns("__pycache__", ".mypy_cache", "*.egg-info", "build")


@dataclass(frozen=True)
class Target:
    """The machine that the bundle is for."""

    python: str
    machine: str

    @property
    def environment(self) -> dict[str, str]:
        """What PEP 508 markers see there.  pip itself would see the machine that it runs on."""
        return {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
        }

    @property
    def platforms(self) -> list[str]:
        """Platform tags of wheels that run there, PEP 600."""
        names = [f"manylinux_2_{minor}" for minor in range(GLIBC, _OLDEST_GLIBC - 1, -1)]
        return [f"{name}_{self.machine}" for name in (*names, *_NAMED)]


def pinned(requirements: Path, target: Target, without: Sequence[str] = ()) -> list[str]:
    """Return the lines of a locked file that hold on ``target``, as ``name==version``, less those in ``without``."""
    left = {canonicalize_name(name) for name in without}
    found = []
    for line in requirements.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith(("#", "--")):
            continue
        wanted = Requirement(line)
        holds = wanted.marker is None or wanted.marker.evaluate(target.environment)
        if holds and canonicalize_name(wanted.name) not in left:
            found.append(f"{wanted.name}{wanted.specifier}")
    return found


def download(pins: Sequence[str], target: Target, wheels: Path) -> None:
    """Fetch a wheel of each."""
    platforms = [option for name in target.platforms for option in ("--platform", name)]
    version = target.python.replace(".", "")
    options = ["--no-deps", "--only-binary", ":all:", "--implementation", "cp", "--python-version", version, *platforms]
    _pip("download", "--quiet", "--dest", str(wheels), *options, *pins)


def build(wheels: Path) -> None:
    """Build this project's own wheel."""
    with tempfile.TemporaryDirectory() as folder:
        for name in SOURCES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, Path(folder, name), ignore=_JUNK)
            else:
                shutil.copy2(source, folder)
        _pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(wheels), folder)


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], check=True)


def hashed(wheels: Path) -> Iterator[str]:
    """Yield a requirement with its hash for each wheel: pip then takes these very files and no others."""
    for wheel in sorted(wheels.glob("*.whl")):
        name, version, _, _ = parse_wheel_filename(wheel.name)
        yield f"{name}=={version} --hash=sha256:{sha256(wheel)}"


def sha256(path: Path) -> str:
    """Return a file's digest."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def checksums(folder: Path) -> Iterator[str]:
    """Yield lines as `sha256sum` writes and checks them."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        yield f"{sha256(path)}  {path.relative_to(folder)}"


def _lines(path: Path, lines: Iterable[str]) -> None:
    path.write_text("".join(f"{line}\n" for line in list(lines)), encoding="utf-8")


def make(
    out: Path,
    target: Target,
    requirements: Path,
    models: Sequence[Path],
    configs: Sequence[Path],
    without: Sequence[str],
) -> Path:
    """Write the bundle's folder and archive below ``out``; return the archive.

    Raises:
        FileExistsError: a bundle of that name is there.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as scratch:
        folder = Path(scratch, "bundle")
        wheels = folder / "wheels"
        wheels.mkdir(parents=True)
        build(wheels)
        version = str(parse_wheel_filename(next(wheels.glob("edge_inspect-*.whl")).name)[1])
        finished = out / f"edge-{version}-{target.machine}-python{target.python}"
        if finished.exists():
            raise FileExistsError(finished)
        download(pinned(requirements, target, without), target, wheels)
        _lines(folder / "requirements.txt", hashed(wheels))
        _files(folder, models, configs)
        about = {"version": version, "python": target.python, "machine": target.machine, "glibc": f"2.{GLIBC}"}
        (folder / "bundle.json").write_text(json.dumps({**about, "left_out": list(without)}, indent=1) + "\n")
        write_sbom(folder, version)
        _lines(folder / "SHA256SUMS", checksums(folder))
        folder.rename(finished)
    return _archive(finished)


def _files(folder: Path, models: Sequence[Path], configs: Sequence[Path]) -> None:
    """Copy models, configurations, units, the installer and its page."""
    for kind, sources in (
        ("models", models),
        ("config", configs),
        ("examples", [path for path in (ROOT / name for name in EXAMPLES) if path.exists()]),
    ):
        (folder / kind).mkdir()
        for source in sources:
            (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / kind / source.name)
    shutil.copy2(Path(__file__).with_name("install.py"), folder)
    shutil.copy2(ROOT / "docs" / "offline.md", folder / "README.md")


def _archive(folder: Path) -> Path:
    """Pack the folder, and write the archive's own checksum beside it."""

    def nobodys(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return member

    archive = folder.parent / f"{folder.name}.tar"
    with tarfile.open(archive, "w") as tar:  # wheels are compressed already
        tar.add(folder, folder.name, filter=nobodys)
    _lines(folder.parent / f"{archive.name}.sha256", [f"{sha256(archive)}  {archive.name}"])
    return archive


def main() -> None:
    """Read the options and make the bundle."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    parser = argparse.ArgumentParser(description="Make an air-gapped bundle.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the bundle")
    parser.add_argument("--machine", choices=MACHINES, default=platform.machine())
    parser.add_argument("--python", choices=PYTHONS, default=here)
    parser.add_argument("--requirements", type=Path, default=ROOT / "requirements" / "runtime.txt", help="locked")
    parser.add_argument("--model", type=Path, action="append", help="a package's folder; by default those shipped")
    parser.add_argument("--config", type=Path, action="append", default=[], help="a file of the plant's own")
    parser.add_argument("--without", action="append", default=[], help="a distribution that the target has already")
    given = parser.parse_args()
    models = given.model or sorted(p.parent for p in (ROOT / "models").glob("*/manifest.toml"))
    target = Target(given.python, given.machine)
    os.umask(0o022)
    try:
        archive = make(given.out, target, given.requirements, models, given.config, given.without)
    except FileExistsError as error:
        parser.error(f"{error} exists: remove it, or choose another --out")
    print(f"{archive}: {archive.stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
