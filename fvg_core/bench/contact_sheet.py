"""A page on which a person clicks one anchor for each prompt and saves the choices."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from ..errors import BatchError
from .results import Json
from .store import PART, finished_lines

PAGE = Path(__file__).with_name("contact_sheet.html")
SHOWN = 400  # pixels of the longer side: the page holds the pictures itself
PLACE = "<!--rows-->"


def write_contact_sheet(folder: Path) -> Path:
    """Write the page of the anchors in `folder`, needing no other file; its path."""
    path = folder / "contact_sheet.html"
    part = path.with_name(f"{path.name}{PART}")
    head, tail = PAGE.read_text(encoding="utf-8").split(PLACE)
    with part.open("w", encoding="utf-8") as out:
        out.write(head)
        out.writelines(_rows(folder))
        out.write(tail)
    return part.replace(path)


def _rows(folder: Path) -> Iterator[str]:
    for line in finished_lines(folder / "manifest.jsonl"):
        seed = "" if line["seed"] is None else f" <small>seed {line['seed']}</small>"
        wording = f" <small>wording {line['variation']}</small>" if line["variation"] else ""
        yield f"<fieldset><legend>{html.escape(line['prompt'])}{seed}{wording}</legend>\n"
        yield from (_picture(folder, line, number) for number in range(len(line["files"])))
        yield "</fieldset>\n"


def _picture(folder: Path, line: Json, number: int) -> str:
    path = folder / line["files"][number]["name"]
    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise BatchError(f"{path} is not a picture that can be shown: {error}.") from error
    small.thumbnail((SHOWN, SHOWN))
    jpeg = io.BytesIO()
    small.save(jpeg, "JPEG", quality=90)
    data = base64.b64encode(jpeg.getvalue()).decode()
    return (
        f'<label><input type="radio" name="{html.escape(line["key"])}" value="{number}">'
        f'<img alt="candidate {number}" src="data:image/jpeg;base64,{data}"></label>\n'
    )
