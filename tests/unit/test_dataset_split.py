from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.dataset.groups import union
from edge.dataset.sample import Dataset, Entry
from edge.dataset.split import Split, block_folds, block_split, random_like, strata, whole
from edge.errors import DatasetError


def dataset(
    series: dict[str, int], classes: tuple[str, ...] = ("dent",), digests: dict[str, str] | None = None
) -> Dataset:
    """Pictures `<name>_1`..`<name>_n` of each series; the n-th series shows the n-th class, or the last."""
    entries = []
    for place, (name, length) in enumerate(series.items()):
        for count in range(1, length + 1):
            own = f"{name}_{count}"
            label = min(place, len(classes) - 1)
            boxes = np.array([[0, 0, 9, 9]], np.float32)
            labels = np.array([label], np.int64)
            digest = (digests or {}).get(own, own)
            entries.append(Entry(own, Path(f"{own}.png"), (20, 10), boxes, labels, (label,), digest))
    return Dataset(Path("data"), "voc", classes, tuple(entries))


def names(entries: tuple[Entry, ...]) -> set[str]:
    return {entry.name for entry in entries}


def numbers(entries: tuple[Entry, ...]) -> list[int]:
    return [int(entry.name.rpartition("_")[2]) for entry in entries]


def parts(split: Split) -> tuple[set[str], set[str], set[str]]:
    return names(split.train), names(split.validation), names(split.left_out)


def test_folds_are_consecutive_blocks_with_a_gap_on_either_side() -> None:
    first, second, third = block_folds(dataset({"a": 60}), 3, gap=2)
    assert numbers(first.validation) == list(range(1, 21))
    assert numbers(first.left_out) == [21, 22]
    assert numbers(second.validation) == list(range(21, 41))
    assert numbers(second.left_out) == [19, 20, 41, 42]
    assert numbers(second.train) == [*range(1, 19), *range(43, 61)]
    assert numbers(third.left_out) == [39, 40]


def test_the_last_share_of_every_series() -> None:
    split = block_split(dataset({"a": 40, "b": 60}, ("dent", "stain")), 0.25, gap=3)
    assert numbers(split.validation) == [*range(31, 41), *range(46, 61)]
    assert numbers(split.left_out) == [28, 29, 30, 43, 44, 45]


def test_a_group_goes_whole_to_the_block_that_holds_most_of_it() -> None:
    data = dataset({"a": 60})
    folds = block_folds(data, 2, gap=0, groups=[{"a_29", "a_30", "a_31"}, {"a_1", "a_40"}, {"a_40", "a_41"}])
    assert numbers(folds[0].validation) == [*range(2, 32)]  # 29, 30, 31; and 1 went with 40 and 41
    assert numbers(folds[1].validation) == [1, *range(32, 61)]


def test_pictures_of_the_same_pixels_are_a_group_of_their_own() -> None:
    data = dataset({"a": 60}, digests={"a_5": "same", "a_50": "same"})
    folds = block_folds(data, 2, gap=0)
    assert {"a_5", "a_50"} <= names(folds[0].validation)
    assert "a_5" in names(folds[1].train)
    assert names(folds[1].left_out) == {"a_50"}  # amid the block that is validated on


def test_a_picture_in_the_gap_that_belongs_to_the_validation_group_is_validated_on() -> None:
    folds = block_folds(dataset({"a": 60}), 2, gap=4, groups=[{"a_29", "a_30", "a_32"}])
    assert numbers(folds[0].validation) == [*range(1, 31), 32]
    assert numbers(folds[0].left_out) == [31, 33, 34]


@given(
    length=st.integers(60, 120),
    folds=st.integers(2, 4),
    gap=st.integers(0, 5),
    pairs=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=12),
)
def test_folds_cover_everything_once_and_never_part_a_group(
    length: int, folds: int, gap: int, pairs: list[tuple[int, int]]
) -> None:
    data = dataset({"a": length})
    groups = [{f"a_{first}", f"a_{second}"} for first, second in pairs]
    splits = block_folds(data, folds, gap, groups)
    assert sorted(n for split in splits for n in numbers(split.validation)) == list(range(1, length + 1))
    for split in splits:
        train, validation, left_out = parts(split)
        assert train | validation | left_out == names(data.entries)
        assert len(train) + len(validation) + len(left_out) == length
        assert all(not (group & train and group & validation) for group in groups)
    again = block_folds(data, folds, gap, groups)
    assert [parts(split) for split in again] == [parts(split) for split in splits]


def test_a_class_that_a_part_would_lack_is_refused_with_counts() -> None:
    data = dataset({"a": 60, "b": 2}, ("dent", "stain"))
    with pytest.raises(DatasetError, match=r"too small for fold 1 of 2 .*stain: 2 pictures, 0 to train, 1 to validate"):
        block_folds(data, 2, gap=5)
    assert len(block_folds(data, 2, gap=0)) == 2


def test_whole_trains_on_all_and_wants_every_class() -> None:
    split = whole(dataset({"a": 3}))
    assert (len(split.train), split.validation, split.left_out) == (3, (), ())
    with pytest.raises(DatasetError, match="stain: 0 pictures, 0 to train"):
        whole(dataset({"a": 3}, ("dent", "stain")))


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_that_is_no_split_is_refused(share: float) -> None:
    with pytest.raises(DatasetError, match="no split"):
        block_split(dataset({"a": 60}), share)


def test_one_fold_and_strange_groups_are_refused() -> None:
    with pytest.raises(DatasetError, match="1 folds are no split"):
        block_folds(dataset({"a": 60}), 1)
    with pytest.raises(DatasetError, match="does not have: b_1"):
        block_folds(dataset({"a": 60}), 2, groups=[{"a_1", "b_1"}])


def test_short_series_of_a_folder_are_joined() -> None:
    lengths = [len(stratum) for stratum in strata(dataset({"a": 30, "b": 29, "c": 3}))]
    assert sorted(lengths) == [30, 32]


def test_a_random_split_deals_the_same_numbers_of_each_series() -> None:
    data = dataset({"a": 40, "b": 60}, ("dent", "stain"))
    block = block_folds(data, 2, gap=3)[0]
    drawn = random_like(data, block, seed=1)
    for of_block, of_drawn in zip(parts(block), parts(drawn), strict=True):
        for series in "ab":
            count = sum(name.startswith(series) for name in of_block)
            assert sum(name.startswith(series) for name in of_drawn) == count
    assert parts(drawn) == parts(random_like(data, block, seed=1))
    assert parts(drawn) != parts(random_like(data, block, seed=2))
    assert parts(drawn) != parts(block)


@given(st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1, max_size=3), max_size=8))
def test_union_is_the_transitive_closure(groups: list[set[str]]) -> None:
    joined = union(groups)
    assert sum(len(group) for group in joined) == len(frozenset().union(*joined))
    for group in groups:
        assert len(group) == 1 or any(group <= whole for whole in joined)
    for found in joined:
        reached = {min(found)}
        for _ in groups:
            reached |= {name for group in groups if group & reached for name in group}
        assert reached == found
