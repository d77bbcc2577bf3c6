"""The page of anchors in a real browser: click, save, go on with the choices."""

from __future__ import annotations

import asyncio
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from fvg_core.bench.anchors import Pictures, read_choices
from fvg_core.bench.contact_sheet import write_contact_sheet
from fvg_core.bench.phases import ANCHORS
from fvg_core.bench.prompt_list import Entry
from fvg_core.bench.store import Store

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
EVIL = '<img src=x onerror="document.title=1"> "a dog"'


async def picture(color: tuple[int, int, int]):
    png = io.BytesIO()
    Image.new("RGB", (64, 64), color).save(png, "PNG")
    yield png.getvalue()


def finished(work: Any) -> Any:
    """What a coroutine returns; in a thread, because Playwright's loop runs in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Three candidates for each of two prompts."""
    with Store(tmp_path / ANCHORS) as store:
        for i, prompt in enumerate(("a red circle", EVIL)):
            names = [f"{i}-{n}.png" for n in range(3)]
            colors = [(80 * i, 80 * n, 90) for n in range(3)]
            parts = [
                finished(store.download(picture(color), name))
                for color, name in zip(colors, names, strict=True)
            ]
            store.keep(str(i) * 64, parts, {"prompt": prompt, "seed": None})
    return tmp_path


def test_a_person_clicks_one_anchor_for_each_prompt(chromium, out: Path):
    page = chromium.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(write_contact_sheet(out / ANCHORS).as_uri())
    assert page.title() == "Choose the anchors"
    assert page.locator("img").count() == 6  # the second prompt is text, not markup
    assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth === 64)")
    save = page.get_by_role("button")
    assert save.is_disabled()
    page.locator("fieldset").nth(1).locator("img").nth(2).click()
    page.locator("fieldset").nth(1).locator("img").nth(1).click()
    assert "1 of 2 chosen" in page.locator("output").inner_text()
    with page.expect_download() as download:
        save.click()
    download.value.save_as(out / "choices.json")
    page.close()
    assert not errors
    pictures = Pictures(out, read_choices(out / "choices.json"))
    assert pictures.give(Entry(EVIL), None).anchor == out / ANCHORS / "1-1.png"
    assert pictures.give(Entry("a red circle"), None) is None
