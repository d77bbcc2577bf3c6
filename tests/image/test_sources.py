"""Exactly one source, and a whole one."""

from __future__ import annotations

import itertools

import pytest

from fvg_core.errors import AnchorError
from fvg_core.image.sources import MODELS, MOST, check_count, list_pictures, source_of

GIVEN = {
    "model": (MODELS, "none", ""),
    "pipeline": ((), "some", ""),
    "pictures": (("pictures",), "none", ""),
    "picture_folder": ((), "none", "mine"),
}


@pytest.mark.parametrize("source", GIVEN)
def test_one(source):
    assert source_of(*GIVEN[source]) == source


@pytest.mark.parametrize("pair", [*itertools.combinations(GIVEN, 2)])
def test_several(pair):
    (inputs_a, *a), (inputs_b, *b) = (GIVEN[name] for name in pair)
    others = [x if x not in ("none", "") else y for x, y in zip(a, b, strict=True)]
    with pytest.raises(AnchorError, match=f"given: {', '.join(pair)}"):
        source_of({*inputs_a, *inputs_b}, *others)


def test_none():
    with pytest.raises(AnchorError, match="given: none"):
        source_of((), "none", "  ")


@pytest.mark.parametrize("count", [1, 2])
def test_part_of_a_model(count):
    for connected in itertools.combinations(MODELS, count):
        missing = " and ".join(name for name in MODELS if name not in connected)
        with pytest.raises(
            AnchorError, match=f"{' and '.join(connected)} connected, {missing} not"
        ):
            source_of(connected, "none", "")


def test_pictures_of_a_folder(tmp_path):
    for name in ("b.PNG", "A.jpg", "c.webp", "notes.txt", ".hidden"):
        (tmp_path / name).touch()
    assert [path.name for path in list_pictures(tmp_path)] == ["A.jpg", "b.PNG", "c.webp"]
    with pytest.raises(AnchorError, match="is not a folder"):
        list_pictures(tmp_path / "A.jpg")


@pytest.mark.parametrize("count", [0, MOST + 1])
def test_too_few_and_too_many(count):
    check_count(1, "it")
    check_count(MOST, "it")
    with pytest.raises(AnchorError, match=f"it holds {count} pictures; 1 to {MOST}"):
        check_count(count, "it")
