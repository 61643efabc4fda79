"""The audit on made-up surfaces of known overlap: what is there is found and measured, and nothing else."""

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edge.dataset import Dataset, open_dataset
from edge.dataset import overlap as overlaps
from edge.dataset.audit import MIN_CORRELATION, MIN_PEAK, Audit, Pair, audit
from edge.dataset.leakage import compare_splits, leaking, read_audit, read_groups, write_audit
from edge.dataset.report import render
from edge.dataset.split import Split
from edge.errors import DatasetError
from tests.support_dataset import surface, write_picture

SIDE = 200
Image = NDArray[np.uint8]


def crop(strip: Image, x: int, y: int) -> Image:
    return strip[y : y + SIDE, x : x + SIDE]


def folder_of(root: Path, pictures: dict[str, Image]) -> Dataset:
    """Pictures called `<class>/<name>`, as JPEG, whose noise differs from crop to crop."""
    for name, image in pictures.items():
        write_picture(root / f"{name}.jpg", image)
    return open_dataset(root)


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    strip, other = surface(1, 500, 500), surface(2, 500, 500)
    pictures = {f"scale/a_{n}": surface(10 + n, SIDE, SIDE) for n in range(10, 16)}
    pictures |= {f"crazing/a_{n}": surface(30 + n, SIDE, SIDE, grain=1.0) for n in range(6)}
    pictures |= {
        "scale/a_1": crop(strip, 50, 60),
        "scale/a_2": crop(strip, 90, 80),
        "scale/a_5": np.clip(crop(strip, 150, 180) * 0.7 + 30, 0, 255).astype(np.uint8),  # 0.2 of a_1, other light
        "scale/a_6": np.rot90(crop(other, 0, 0)),
        "scale/a_7": crop(other, 60, 0),
        "scale/a_8": crop(other, 65, 4),
        "scale/b_1": pictures["scale/a_10"],
        "crazing/a_7": crop(strip, 60, 60),  # another class: not looked for
    }
    return audit(folder_of(tmp_path_factory.mktemp("steel"), pictures))


def pairs(audited: Audit) -> dict[tuple[str, str], Pair]:
    return {(pair.first.removeprefix("scale/"), pair.second.removeprefix("scale/")): pair for pair in audited.pairs}


def test_known_overlaps_are_found_and_nothing_else(audited: Audit) -> None:
    assert set(pairs(audited)) == {
        ("a_1", "a_2"),
        ("a_1", "a_5"),
        ("a_2", "a_5"),
        ("a_6", "a_7"),
        ("a_6", "a_8"),
        ("a_7", "a_8"),
        ("a_10", "b_1"),
    }


@pytest.mark.parametrize(
    ("names", "kind", "turn", "shift", "share"),
    [
        (("a_1", "a_2"), "overlap", "as it is", (40, 20), 160 * 180 / SIDE**2),
        (("a_1", "a_5"), "overlap", "as it is", (100, 120), 100 * 80 / SIDE**2),
        (("a_7", "a_8"), "near-duplicate", "as it is", (5, 4), 195 * 196 / SIDE**2),
        (("a_10", "b_1"), "identical", "as it is", (0, 0), 1.0),
    ],
)
def test_an_overlap_is_measured(
    audited: Audit, names: tuple[str, str], kind: str, turn: str, shift: tuple[int, int], share: float
) -> None:
    pair = pairs(audited)[names]
    assert (pair.kind, pair.turn, pair.shift) == (kind, turn, shift)
    assert pair.share == pytest.approx(share, abs=1e-3)
    assert pair.correlation >= MIN_CORRELATION


def test_a_turned_copy_is_found_with_its_turn(audited: Audit) -> None:
    assert pairs(audited)["a_6", "a_7"].turn == "turned by 90"
    assert pairs(audited)["a_6", "a_7"].share == pytest.approx(0.7, abs=1e-3)


def test_groups_distances_and_nulls(audited: Audit) -> None:
    short = [sorted(name.removeprefix("scale/") for name in group) for group in audited.groups]
    assert short == [["a_1", "a_2", "a_5"], ["a_6", "a_7", "a_8"], ["a_10", "b_1"]]
    assert [p.distance for p in (pairs(audited)["a_1", "a_5"], pairs(audited)["a_10", "b_1"])] == [4, None]
    assert audited.compared == 13 * 12 // 2 + 7 * 6 // 2
    foreign, mirrored = audited.nulls
    assert (foreign.pairs, mirrored.pairs) == (13 * 7, audited.compared)
    assert foreign.accepted == 3  # the crop that was filed under another class overlaps three, and is seen here only
    assert mirrored.accepted == 0
    assert mirrored.highest_peak < 0.1 < foreign.highest_peak


def test_overlaps_below_the_least_share_do_not_count(tmp_path: Path) -> None:
    strip = surface(3, 600, 300)
    shifts = {"scale/a_1": 0, "scale/a_2": 159, "scale/a_3": 159 + 163}
    found = audit(folder_of(tmp_path, {name: crop(strip, x, 0) for name, x in shifts.items()}))
    assert [(pair.first, pair.second) for pair in found.pairs] == [("scale/a_1", "scale/a_2")]


@pytest.mark.parametrize("share", [0.25, 0.3, 0.5, 0.8])
def test_shifts_of_any_direction_are_found(share: float) -> None:
    """Along an axis and along the diagonal; through JPEG, with other light."""
    missed = []
    for seed in range(4):
        strip = surface(100 + seed, 600, 600)
        along, across = round(SIDE * (1 - share)), round(SIDE * (1 - share**0.5))
        for dx, dy in ((along, 0), (0, -along), (across, across), (-across, across)):
            one, other = _jpeg(crop(strip, 200, 200)), _jpeg(crop(strip, 200 + dx, 200 + dy) // 2 + 60)
            conjugate = np.conj(overlaps.spectrum(other, 0.5))[None]
            peaks, shifts = overlaps.strongest_shifts(overlaps.spectrum(one, 0.5), conjugate)
            shift = (2.0 * shifts[0][0], 2.0 * shifts[0][1])
            measured = overlaps.measure(
                overlaps.texture_of(one, 1.0), overlaps.texture_of(other, 1.0), shift, 200, 3, 0.2
            )
            if peaks[0] < MIN_PEAK or measured is None or measured.shift != (dx, dy):
                missed.append((seed, dx, dy))
    assert missed == []


def _jpeg(image: Image) -> Image:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image)[1], cv2.IMREAD_GRAYSCALE), np.uint8)


def test_brightness_alone_is_no_overlap() -> None:
    """Two surfaces under the same lamp: their raw pixels correlate, their texture does not."""
    lamp = np.linspace(0, 90, SIDE)[None, :]
    one, other = (np.clip(surface(n, SIDE, SIDE) * 0.3 + lamp, 0, 255).astype(np.uint8) for n in (7, 8))
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > MIN_CORRELATION
    measured = overlaps.measure(overlaps.texture_of(one, 1.0), overlaps.texture_of(other, 1.0), (0, 0), SIDE, 3, 0.2)
    assert measured is not None
    assert measured.correlation < 0.3


def test_scratches_in_one_direction_are_no_overlap() -> None:
    """A bright line agrees with any other line, the surface round it does not."""
    pictures = []
    for seed in (7, 8):
        scratched = surface(seed, SIDE, SIDE).astype(np.float32) * 0.3
        scratched[:, 90:96] += 150
        pictures.append(scratched.astype(np.uint8))
    assert np.corrcoef(pictures[0].ravel(), pictures[1].ravel())[0, 1] > MIN_CORRELATION
    one, other = (overlaps.texture_of(picture, 1.0) for picture in pictures)
    measured = overlaps.measure(one, other, (0, 0), SIDE, 3, 0.2)
    assert measured is not None
    assert measured.correlation < MIN_CORRELATION


def test_pictures_of_different_sizes(tmp_path: Path) -> None:
    strip = surface(4, 500, 300)
    pictures = {"scale/a_1": strip[0:150, 0:220], "scale/a_2": strip[20:180, 60:210], "scale/a_3": surface(5, 90, 130)}
    (pair,) = audit(folder_of(tmp_path, pictures)).pairs
    assert (pair.first, pair.second, pair.shift) == ("scale/a_1", "scale/a_2", (60, 20))
    assert pair.share == pytest.approx(150 * 130 / (150 * 160), abs=1e-3)


def test_progress_goes_by_pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.dataset.audit._TOLD_EVERY", 2)
    told: list[float] = []
    audit(folder_of(tmp_path, {f"scale/a_{n}": surface(n, 60, 60) for n in range(3)}), told.append)
    assert told == pytest.approx([*(n / 12 for n in range(2, 13, 2)), 1.0])


def test_one_picture_has_no_pairs(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="1 pictures; pairs need two"):
        audit(folder_of(tmp_path, {"scale/a_1": surface(1, SIDE, SIDE)}))


@pytest.fixture
def strip_of_crops(tmp_path: Path) -> Dataset:
    """Two classes of 30 small crops each, every one half over the next."""
    pictures = {}
    for number, cls in enumerate(("dent", "scale")):
        strip = surface(20 + number, 40 * 32, 80)
        pictures |= {f"{cls}/a_{n}": strip[:, 40 * n : 40 * n + 80] for n in range(1, 31)}
    return folder_of(tmp_path, pictures)


def test_blocks_leak_less_than_chance_and_whole_groups_not_at_all(strip_of_crops: Dataset) -> None:
    """Crops 1 and 2, 2 and 3, ... overlap; pairs stand for themselves here, so that groups are small."""
    couples = tuple(
        Pair(f"{cls}/a_{n}", f"{cls}/a_{n + 1}", "overlap", "as it is", (40, 0), 0.5, 0.9)
        for cls in ("dent", "scale")
        for n in range(1, 30)
        if n % 3
    )
    leaks = compare_splits(strip_of_crops, Audit(60, 870, couples, ()), folds=4, gap=2)
    shares = [leak.share for leak in leaks]
    assert shares[0] > 0.5
    assert 0 < shares[1] < 0.2
    assert shares[2] == shares[3] == 0
    assert all(leak.pictures == 15 for leak in leaks[:3])


def test_a_picture_leaks_where_its_partner_is_trained_on(strip_of_crops: Dataset) -> None:
    entries = strip_of_crops.entries
    names = [entry.name for entry in entries]
    pair = Pair(names[0], names[1], "overlap", "as it is", (0, 0), 0.5, 0.9)
    other = Pair(names[0], names[2], "overlap", "as it is", (0, 0), 0.5, 0.9)
    assert leaking(Split(entries[1:3], entries[:1]), [pair, other]) == 1
    assert leaking(Split(entries[:1], entries[1:3]), [pair, other]) == 2
    assert leaking(Split(entries[3:], entries[:3]), [pair, other]) == 0
    assert leaking(Split(entries[:1], (), entries[1:3]), [pair, other]) == 0


def test_an_audit_survives_its_file(audited: Audit, tmp_path: Path) -> None:
    write_audit(audited, tmp_path / "LEAKAGE.json")
    assert read_audit(tmp_path / "LEAKAGE.json") == audited
    assert read_groups(tmp_path / "LEAKAGE.json") == audited.groups
    (tmp_path / "LEAKAGE.json").write_text('{"pairs": [["a"]]}')
    with pytest.raises(DatasetError, match="no audit of a data set"):
        read_groups(tmp_path / "LEAKAGE.json")
    with pytest.raises(DatasetError, match="cannot be written"):
        write_audit(audited, tmp_path)


def test_the_report_counts_and_names(audited: Audit) -> None:
    text = render("steel", audited, [], "edge dataset audit steel --out .")
    assert "8 of 20 pictures (40%)" in text
    assert "| scale/a_* | 0 | 1 | 5 | 6 |" in text
    assert "| of two series | 1 | 0 | 0 | 1 |" in text
    assert "2 of 3, 1 of 2" not in text  # counted by size, ascending
    assert "1 of 2, 2 of 3" in text
    assert "edge dataset audit steel --out ." in text
    assert "filed under two classes" in text
    assert "under a light that changes its texture" in text


def test_a_data_set_of_one_group_can_be_audited_but_not_split(strip_of_crops: Dataset) -> None:
    names = [entry.name for entry in strip_of_crops.entries]
    chain = tuple(Pair(a, b, "overlap", "as it is", (40, 0), 0.5, 0.9) for a, b in pairwise(names))
    leaks = compare_splits(strip_of_crops, Audit(60, 870, chain, ()), folds=2, gap=1)
    assert leaks[3].pictures == leaks[3].share == 0
    assert "| blocks, gap of 1, groups whole | too small |" in render("strip", Audit(60, 870, chain, ()), leaks, "")
