"""Small data sets on disk, in every format, and made-up surfaces for the audit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
Objects = Sequence[tuple[str, Box]]
"""Class and 0-based xyxy px of each object."""

WIDTH, HEIGHT = 40, 20


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    """(height, width) uint8 of noise; another one for each seed."""
    return np.random.default_rng(seed).integers(0, 256, (height, width), np.uint8)


def write_picture(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_voc(root: Path, pictures: Mapping[str, Objects]) -> Path:
    for seed, (name, objects) in enumerate(pictures.items()):
        write_picture(root / "images" / f"{name}.png", picture(seed))
        write_xml(root / "annotations" / f"{name}.xml", objects)
    return root


def write_xml(
    path: Path, objects: Sequence[tuple[str, Sequence[object]]], size: tuple[int, int] = (WIDTH, HEIGHT)
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    items = "".join(
        f"<object><name>{cls}</name><bndbox><xmin>{_one_based(b[0])}</xmin><ymin>{_one_based(b[1])}</ymin>"
        f"<xmax>{b[2]}</xmax><ymax>{b[3]}</ymax></bndbox></object>"
        for cls, b in objects
    )
    head = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    path.write_text(f"<annotation>{head}{items}</annotation>", encoding="utf-8")


def _one_based(value: object) -> object:
    return value + 1 if isinstance(value, int | float) else value


def write_coco(root: Path, pictures: Mapping[str, Objects], ids: Mapping[str, int]) -> Path:
    images: list[dict[str, object]] = []
    annotations: list[dict[str, object]] = []
    for number, (name, objects) in enumerate(pictures.items(), 100):
        write_picture(root / "images" / f"{name}.png", picture(number))
        images.append({"id": number, "file_name": f"{name}.png", "width": WIDTH, "height": HEIGHT})
        for cls, (x1, y1, x2, y2) in objects:
            bbox = [x1, y1, x2 - x1, y2 - y1]
            annotations.append(
                {"id": len(annotations), "image_id": number, "category_id": ids[cls], "bbox": bbox, "iscrowd": 0}
            )
    categories = [{"id": number, "name": cls} for cls, number in ids.items()]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    (root / "annotations" / "instances_all.json").write_text(json.dumps(content), encoding="utf-8")
    return root


def write_yolo(root: Path, pictures: Mapping[str, Objects], classes: Sequence[str]) -> Path:
    for seed, (name, objects) in enumerate(pictures.items()):
        write_picture(root / "images" / f"{name}.png", picture(seed))
        lines = [
            f"{classes.index(cls)} {(x1 + x2) / 2 / WIDTH:.6f} {(y1 + y2) / 2 / HEIGHT:.6f} "
            f"{(x2 - x1) / WIDTH:.6f} {(y2 - y1) / HEIGHT:.6f}"
            for cls, (x1, y1, x2, y2) in objects
        ]
        (root / "labels" / f"{name}.txt").parent.mkdir(parents=True, exist_ok=True)
        (root / "labels" / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    (root / "classes.txt").write_text("\n".join(classes), encoding="utf-8")
    return root


def write_folders(root: Path, pictures: Mapping[str, Objects], masks: bool = True) -> Path:
    """Names are `<class>/<name>`."""
    for seed, (name, objects) in enumerate(pictures.items()):
        write_picture(root / f"{name}.jpg", picture(seed))
        if masks:
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            for _, (x1, y1, x2, y2) in objects:
                mask[int(y1) : int(y2), int(x1) : int(x2)] = 255
            write_picture(root / f"{name}.png", mask)
    return root


def surface(seed: int, width: int, height: int, grain: float = 1.5) -> NDArray[np.uint8]:
    """(height, width) uint8 of random texture with slow changes of brightness, as of rolled metal."""
    generator = np.random.default_rng(seed)
    fine = cv2.GaussianBlur(generator.normal(0, 1, (height, width)), (0, 0), grain)
    coarse = generator.normal(0, 1, (height // 60 + 2, width // 60 + 2))
    slow = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    mixed = 20 * fine / fine.std() + 25 * slow / slow.std()
    return np.asarray(np.clip(120 + mixed, 0, 255), np.uint8)
