"""The bundle's software bill of materials: CycloneDX 1.6, JSON."""

from __future__ import annotations

import hashlib
import sys
import uuid
import zipfile
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path
from typing import Any

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = "edge-inspect"
_LONGEST_NAME = 100
"""Of a licence's name: some distributions put the whole text there."""


@dataclass(frozen=True)
class _Wheel:
    """A wheel's metadata, its component, and the names of what it asks for, whatever the markers."""

    component: Component
    requires: frozenset[str]


def write_sbom(folder: Path, version: str) -> Path:
    """Write ``sbom.cdx.json`` of a bundle's folder: its wheels, who needs whom, and its models.  Return the file."""
    wheels = {_name(wheel): _wheel(wheel) for wheel in sorted((folder / "wheels").glob("*.whl"))}
    models = [_model(path.parent) for path in sorted((folder / "models").glob("*/manifest.toml"))]
    project = wheels.pop(PROJECT)
    bom = Bom(components=[*(wheel.component for wheel in wheels.values()), *models])
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_URL, (folder / "requirements.txt").read_text(encoding="ascii"))
    bom.metadata.component = project.component
    for wheel in (project, *wheels.values()):
        bom.register_dependency(wheel.component, [wheels[n].component for n in sorted(wheel.requires & wheels.keys())])
    assert project.component.version == version
    path = folder / "sbom.cdx.json"
    path.write_text(make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string(indent=1) + "\n")
    return path


def _name(wheel: Path) -> str:
    return canonicalize_name(wheel.name.partition("-")[0])


def _metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith(".dist-info/METADATA") and n.count("/") == 1)
        return BytesParser().parsebytes(archive.read(name))


def _wheel(path: Path) -> _Wheel:
    metadata = _metadata(path)
    name, version = _name(path), str(metadata["Version"])
    licence = _licence(metadata)
    component = Component(
        type=ComponentType.APPLICATION if name == PROJECT else ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"pkg:pypi/{name}@{version}",
        purl=PackageURL("pypi", name=name, version=version),
        description=str(metadata["Summary"] or "") or None,
        hashes=[_hash(path)],
        licenses=[LicenseFactory().make_from_string(licence)] if licence else None,
    )
    requires = frozenset(
        canonicalize_name(Requirement(str(line)).name) for line in metadata.get_all("Requires-Dist", [])
    )
    return _Wheel(component, requires)


def _licence(metadata: Message) -> str:
    """Return the licence: an SPDX expression, a short name, or that of the classifiers; "" where none is told."""
    told = str(metadata["License-Expression"] or metadata["License"] or "")
    if told and len(told) <= _LONGEST_NAME and "\n" not in told:
        return told
    named = [
        str(c).rpartition(" :: ")[2] for c in metadata.get_all("Classifier", []) if str(c).startswith("License :: ")
    ]
    return " / ".join(named)


def _model(folder: Path) -> Component:
    manifest = tomllib.loads((folder / "manifest.toml").read_text(encoding="utf-8"))
    name, version = str(manifest["name"]), str(manifest["version"])
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=name,
        version=version,
        bom_ref=f"model:{name}@{version}",
        hashes=[_hash(folder / "model.onnx")],
        licenses=[LicenseFactory().make_from_string(licence) for licence in _licences(manifest)] or None,
    )


def _licences(manifest: dict[str, Any]) -> list[str]:
    """Return the licence of the weights, which is what is handed on."""
    told = manifest.get("licences", {}).get("weights")
    return [told] if isinstance(told, str) else []


def _hash(path: Path) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=hashlib.sha256(path.read_bytes()).hexdigest())
