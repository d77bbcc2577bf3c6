"""The contact sheet: one picture that shows what a run was asked, chose and made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

BACKGROUND, TEXT, FAINT, ACCENT, EDGE = "#15171c", "#f2f3f5", "#9aa1ad", "#ffb224", "#2c313a"
MARGIN, GAP, TILE, COLUMNS = 40, 12, 192, 8
WIDTH = 2 * MARGIN + COLUMNS * TILE + (COLUMNS - 1) * GAP
MAX_LINES = 4
MOST = 200  # more words than a line holds, and more letters than it shows
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Row:
    """A labelled row of pictures; those in `marked` get the accent frame."""

    title: str
    note: str
    pictures: Sequence[Image.Image]
    captions: Sequence[str]
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Sheet:
    """What goes on the sheet, from top to bottom."""

    heading: str
    details: str
    texts: Sequence[tuple[str, str]]
    rows: Sequence[Row]


@cache
def _font(size: int, bold: bool = False) -> Font:
    try:
        return ImageFont.truetype("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf", size)
    except OSError:
        return ImageFont.load_default(size)


def fit(picture: Image.Image, box: int = TILE) -> Image.Image:
    """Scaled to fit a square box: small pictures by a whole factor, large ones down."""
    longest = max(picture.size)
    factor = box // longest if longest <= box else box / longest
    size = [max(1, round(side * factor)) for side in picture.size]
    return picture.convert("RGB").resize((size[0], size[1]), Image.Resampling.LANCZOS)


def wrap(text: str, font: Font, width: float, max_lines: int = MAX_LINES) -> list[str]:
    """`text` broken into lines of at most `width` pixels; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    words = [word[:MOST] for word in text.split()[: max_lines * MOST]]
    while words and len(lines) < max_lines:
        count = 1
        while count < len(words) and font.getlength(" ".join(words[: count + 1])) <= width:
            count += 1
        line, words = " ".join(words[:count]), words[count:]
        lines.append(_clip(line, font, width, more=bool(words) and len(lines) + 1 == max_lines))
    return lines


def _clip(line: str, font: Font, width: float, more: bool) -> str:
    """`line` shortened to `width`, with an ellipsis where something is left out."""
    if not more and font.getlength(line) <= width:
        return line
    while line and font.getlength(line + "…") > width:
        line = line[:-1]
    return line + "…"


class _Page:
    """Draws downwards from the top; `y` is where the next thing goes."""

    def __init__(self, height: int) -> None:
        self.image = Image.new("RGB", (WIDTH, height), BACKGROUND)
        self.draw = ImageDraw.Draw(self.image)
        self.y = MARGIN

    def header(self, heading: str, details: str) -> None:
        self.draw.text((MARGIN, self.y), heading, fill=ACCENT, font=_font(26, True))
        self.draw.text(
            (WIDTH - MARGIN, self.y + 6), details, fill=FAINT, font=_font(18), anchor="ra"
        )
        self.y += 58

    def paragraph(self, label: str, text: str) -> None:
        indent = 190
        font = _font(22)
        self.draw.text((MARGIN, self.y + 3), label, fill=FAINT, font=_font(18))
        for line in wrap(text, font, WIDTH - 2 * MARGIN - indent):
            self.draw.text((MARGIN + indent, self.y), line, fill=TEXT, font=font)
            self.y += 32
        self.y += 10

    def row(self, row: Row) -> None:
        self.y += 14
        title = _font(20, True)
        self.draw.text((MARGIN, self.y), row.title, fill=TEXT, font=title)
        note_x = MARGIN + title.getlength(row.title) + 14
        self.draw.text((note_x, self.y + 2), row.note, fill=FAINT, font=_font(18))
        self.y += 36
        for start in range(0, len(row.pictures), COLUMNS):
            self._tiles(row, range(start, min(start + COLUMNS, len(row.pictures))))

    def _tiles(self, row: Row, indices: range) -> None:
        tiles = {i: fit(row.pictures[i]) for i in indices}
        height = max(tile.height for tile in tiles.values())
        for column, (i, tile) in enumerate(tiles.items()):
            x = MARGIN + column * (TILE + GAP)
            marked = i in row.marked
            border = 4 if marked else 1
            self.draw.rectangle(
                (x - border, self.y - border, x + tile.width + border - 1,
                 self.y + tile.height + border - 1),
                fill=ACCENT if marked else EDGE,
            )  # fmt: skip
            self.image.paste(tile, (x, self.y))
            caption = row.captions[i] if i < len(row.captions) else ""
            self.draw.text(
                (x, self.y + height + 8), caption, fill=ACCENT if marked else FAINT, font=_font(16)
            )
        self.y += height + 38


def draw_sheet(sheet: Sheet) -> Image.Image:
    """The sheet as one picture, as high as it needs to be."""
    tallest = sum(-(-len(row.pictures) // COLUMNS) * (TILE + 38) + 50 for row in sheet.rows)
    page = _Page(MARGIN * 2 + 58 + len(sheet.texts) * (MAX_LINES * 32 + 10) + tallest)
    page.header(sheet.heading, sheet.details)
    for label, text in sheet.texts:
        page.paragraph(label, text)
    for row in sheet.rows:
        page.row(row)
    return page.image.crop((0, 0, WIDTH, page.y + MARGIN - 20))
