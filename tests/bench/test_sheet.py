"""The contact sheet, looked at pixel by pixel."""

import pytest
from PIL import Image, ImageColor

from fvg_core.bench.sheet import (
    ACCENT,
    BACKGROUND,
    COLUMNS,
    GAP,
    MARGIN,
    TILE,
    WIDTH,
    Row,
    Sheet,
    draw_sheet,
    fit,
    wrap,
)
from fvg_core.bench.sheet import _font as font

COLORS = ["#c01010", "#10c010", "#1010c0", "#c0c010"]


def squares(count: int) -> list[Image.Image]:
    return [Image.new("RGB", (64, 64), COLORS[i % 4]) for i in range(count)]


def sheet(text: str = "a red circle", marked: int = 1, count: int = 4) -> Image.Image:
    row = Row("Candidates", "", squares(count), ["one"] * count, frozenset({marked}))
    return draw_sheet(Sheet("Heading", "details", [("Prompt", text)], [row]))


def tile_tops(picture: Image.Image, column: int) -> list[int]:
    """Where tiles of a column start, found from above."""
    x = MARGIN + column * (TILE + GAP) + TILE // 2
    wanted = ImageColor.getrgb(COLORS[column % 4])
    column_pixels = [picture.getpixel((x, y)) for y in range(picture.height)]
    return [
        y
        for y in range(1, picture.height)
        if column_pixels[y] == wanted and column_pixels[y - 1] != wanted
    ]


def test_every_picture_is_there_in_its_place() -> None:
    picture = sheet()
    tops = [tile_tops(picture, column) for column in range(4)]
    assert all(len(found) == 1 for found in tops)
    assert len({found[0] for found in tops}) == 1
    assert picture.width == WIDTH


def test_only_the_chosen_one_is_framed() -> None:
    picture = sheet(marked=2)
    top = tile_tops(picture, 0)[0]
    above = [picture.getpixel((MARGIN + c * (TILE + GAP) + TILE // 2, top - 2)) for c in range(4)]
    accent = ImageColor.getrgb(ACCENT)
    assert [pixel == accent for pixel in above] == [False, False, True, False]


def test_more_than_a_row_goes_on_below() -> None:
    picture = sheet(count=COLUMNS + 2)
    assert len(tile_tops(picture, 0)) == 2
    assert len(tile_tops(picture, 3)) == 1


@pytest.mark.parametrize("text", ["word " * 10_000, "x" * 50_000, "", "数 " * 500])
def test_any_prompt_stays_inside(text: str) -> None:
    picture = sheet(text)
    background = ImageColor.getrgb(BACKGROUND)
    margin = picture.crop((WIDTH - MARGIN + 2, 0, WIDTH, picture.height))
    assert margin.getcolors() == [(margin.width * margin.height, background)]
    assert picture.height < 700


def test_wrap_keeps_every_word_that_fits_and_says_when_not() -> None:
    words = [f"word{i}" for i in range(30)]
    lines = wrap(" ".join(words), font(22), 400, max_lines=99)
    assert " ".join(lines).split() == words
    assert all(font(22).getlength(line) <= 400 for line in lines)
    cut = wrap(" ".join(words), font(22), 400, max_lines=2)
    assert len(cut) == 2
    assert cut[1].endswith("…")


@pytest.mark.parametrize(
    ("size", "expected"),
    [((64, 64), (192, 192)), ((80, 48), (160, 96)), ((832, 480), (192, 111)), ((1, 1), (192, 192))],
)
def test_small_pictures_grow_by_whole_factors(size, expected) -> None:
    assert fit(Image.new("RGB", size)).size == expected
