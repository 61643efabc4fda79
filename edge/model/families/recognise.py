"""Which family an export is of, by the shape of its output and what it says of itself."""

from __future__ import annotations

from edge.errors import ModelError
from edge.model.export import OPEN, Export, fits, written
from edge.model.families.base import Family
from edge.model.package import Heads, Input

CHECK = "check family, classes, input.width and input.height against the export."


def recognise(
    export: Export, families: dict[str, Family], told: str | None, target: Input, classes: int
) -> tuple[str, Heads]:
    """Return the name of an export's family and the form of its raw output.

    Args:
        told: the family, or None to recognise it.

    Raises:
        ModelError: the family is unknown; or the output is not of it, of none, or of several.
    """
    matches = {name: form for name, family in families.items() if (form := _form(export, family, target, classes))}
    found = f"The output {export.output_name!r} of {export.source} is {written(export.shape)}"
    asked = f"{classes} classes at {target.width} x {target.height} px"
    if told is not None:
        _check_told(export, families, told)
        if told not in matches:
            others = f"; {' or '.join(matches)} would" if matches else ""
            raise ModelError(f"{found}; {_expected(families[told], told, target, classes)} for {asked}{others}.", CHECK)
        return told, matches[told]
    if not matches:
        raise ModelError(f"{found}, which no known family yields for {asked} ({', '.join(families)}).", CHECK)
    # An RT-DETR returns what an NMS-free YOLO does, so that the shape alone is no proof.
    sure = [name for name in matches if export.metadata.end_to_end or not families[name].end_to_end]
    if len(matches) > 1 or not sure:
        raise ModelError(
            f"{found}, which could be of family {' or '.join(matches)}.", "set family in the spec to what it is."
        )
    return sure[0], matches[sure[0]]


def _check_told(export: Export, families: dict[str, Family], told: str) -> None:
    """Check that a family exists, and suppresses by itself if and only if the export says so."""
    if told not in families:
        raise ModelError(f"Family {told!r} is unknown.", f"use one of: {', '.join(families)}.")
    said = export.metadata.end_to_end
    if said not in (None, families[told].end_to_end):
        does = "suppresses by itself" if said else "leaves suppression to others"
        alike = ", ".join(name for name, family in families.items() if family.end_to_end == said)
        raise ModelError(
            f"{export.source} says that it {does} (end2end = {said}); networks of family {told} do not.",
            f"leave family out, or set it to one of: {alike}.",
        )


def _form(export: Export, family: Family, target: Input, classes: int) -> Heads | None:
    """Return the form in which the export's output is one of the family, or None."""
    if export.metadata.end_to_end not in (None, family.end_to_end):
        return None
    shape = export.shape
    for form in family.heads(target, classes, export.metadata.stride):
        if form.ranked:
            if len(shape) != 3 or shape[0] not in (OPEN, 1) or shape[2] != form.columns:
                continue
            return form.model_copy(update={"levels": (shape[1],)}) if shape[1] > 0 else form
        if fits(shape, form.port_shape):
            return form
    return None


def _expected(family: Family, name: str, target: Input, classes: int) -> str:
    forms = family.heads(target, classes, None)
    if not forms:
        return f"{name} has no pyramid whose strides divide the sides, and yields nothing"
    return f"{name} yields {' or '.join(written(form.port_shape) for form in forms)}"
