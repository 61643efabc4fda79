"""`edge dataset simulate`: simulated steel plates as a data set on disk, with boxes, and with good plates among them.

What `edge model evaluate`, `edge train` and anybody's own tools can read; `models/sim-strip` is measured on it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from edge.errors import DatasetError
from edge.simulate.options import MIN_FRAME

PLATES_PER_SURFACE = 300


def write_voc(folder: Path, name: str, image: NDArray[np.uint8], boxes: Sequence[tuple[str, Sequence[float]]]) -> None:
    """Write ``images/NAME.png`` and ``annotations/NAME.xml`` (Pascal VOC: corners 1-based, far edges included).

    Args:
        image: (H, W) grey or (H, W, 3) BGR.
        boxes: class and (x1, y1, x2, y2), px, 0-based, far edges exclusive.

    Raises:
        DatasetError: a file cannot be written.
    """
    import cv2

    root = ET.Element("annotation")
    ET.SubElement(root, "filename").text = f"{name}.png"
    size = ET.SubElement(root, "size")
    for key, value in zip(("width", "height", "depth"), (*image.shape[1::-1], *image.shape[2:], 1), strict=False):
        ET.SubElement(size, key).text = str(value)
    for cls, (x1, y1, x2, y2) in boxes:
        item = ET.SubElement(root, "object")
        ET.SubElement(item, "name").text = cls
        bounds = ET.SubElement(item, "bndbox")
        for key, value in (("xmin", x1 + 1), ("ymin", y1 + 1), ("xmax", x2), ("ymax", y2)):
            ET.SubElement(bounds, key).text = f"{value:g}"
    picture, annotation = folder / "images" / f"{name}.png", folder / "annotations" / f"{name}.xml"
    try:
        for path in (picture, annotation):
            path.parent.mkdir(parents=True, exist_ok=True)
        ET.indent(root)
        ET.ElementTree(root).write(annotation, encoding="utf-8")
        written = cv2.imwrite(str(picture), image)
    except OSError as error:
        raise DatasetError(f"{annotation} cannot be written: {error.strerror}.", "choose another folder.") from error
    if not written:
        raise DatasetError(f"{picture} cannot be written.", "check the free space of that disk.")


def simulate(folder: Path, plates: int, seed: int, width: int, height: int, defect_rate: float) -> int:
    """Write ``plates`` plates of the surfaces ``seed``, ``seed`` + 1, ...; return how many of them are defective.

    Raises:
        DatasetError: it is no empty folder, or cannot be written.
        ValueError: a frame too small, or a rate outside 0..1.
    """
    from edge.simulate.surface import Surface

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder} is no empty folder.", "give a new one.")
    defective = 0
    for first in range(0, plates, PLATES_PER_SURFACE):
        number = seed + first // PLATES_PER_SURFACE
        surface = Surface(width, height, number, defect_rate)
        for index in range(min(PLATES_PER_SURFACE, plates - first)):
            plate = surface.plate(index)
            write_voc(folder, f"{number}_{index:03}", plate.image, [(d.cls, d.box) for d in plate.defects])
            defective += bool(plate.defects)
    return defective


def simulate_command(
    folder: Annotated[Path, typer.Argument(help="Folder to create.")],
    plates: Annotated[int, typer.Option(min=1, help="How many; 300 of a kind of steel.")] = 600,
    seed: Annotated[int, typer.Option(min=0, help="Of the first kind of steel.")] = 3_000_000,
    width: Annotated[int, typer.Option(min=MIN_FRAME, help="Of the frame, px.")] = 640,
    height: Annotated[int, typer.Option(min=MIN_FRAME, help="Of the frame, px.")] = 512,
    defect_rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of defective plates.")] = 0.6,
) -> None:
    """Write simulated steel plates as a data set (Pascal VOC)."""
    from rich.console import Console

    with Console(stderr=True).status("Drawing plates"):
        defective = simulate(folder, plates, seed, width, height, defect_rate)
    print(f"{folder}: {plates} plates, {defective} of them defective")
