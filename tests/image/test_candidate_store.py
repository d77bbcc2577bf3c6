"""Pictures on disk: whole or not there, and exactly what is read back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fvg_core.errors import AnchorError
from fvg_core.image import store

KEY = "0123456789abcdef" * 4


@given(title=st.text(max_size=300))
def test_a_folder_name_is_one_plain_name(title):
    name = store.folder_name(title, KEY)
    assert name.endswith("-0123456789ab")
    assert not set(name) & set('/\\:*?"<>|.\0\n ')
    assert len(name.encode()) <= 255
    assert name == name.strip("-")


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("A red circle, left of a blue square!", "a-red-circle-left-of-a-blue-square"),
        ("Ein Bär / un été", "ein-bär-un-été"),
        ("一只红色的猫", "一只红色的猫"),
        ("../../etc/passwd", "etc-passwd"),
        ("  ...  ", "candidates"),
    ],
)
def test_a_person_recognises_the_prompt(title, slug):
    assert store.folder_name(title, KEY) == f"{slug}-0123456789ab"


def test_every_level_is_read_back_as_it_was_written(tmp_path):
    levels = torch.arange(256).reshape(16, 16, 1).expand(-1, -1, 3) / 255
    for shift in (-0.4, 0, 0.4):
        store.write_picture(tmp_path / "a.png", levels + shift / 255, {"text": "ü"})
        assert torch.equal(store.read_pictures([tmp_path / "a.png"])[0], levels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.text == {"text": "ü"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_levels_beyond_black_and_white_are_cut():
    picture = torch.tensor([[[-1.0, 2.0, 0.5]]])
    assert store.to_pil(picture).getpixel((0, 0)) == (0, 255, 128)


def test_whole_means_decoded_to_the_end_in_that_size(tmp_path):
    path = tmp_path / "a.png"
    assert not store.is_whole(path, 32, 16)
    store.write_picture(path, torch.rand(16, 32, 3), {})
    whole = path.read_bytes()
    assert store.is_whole(path, 32, 16)
    assert not store.is_whole(path, 16, 32)
    for broken in (b"", whole[:-30], whole[:40], b"x" * 100, b"BM" + whole[2:]):
        path.write_bytes(broken)
        assert not store.is_whole(path, 32, 16)
    path.write_bytes(whole)
    assert store.is_whole(path, 32, 16)
    path.unlink()
    path.mkdir()
    assert not store.is_whole(path, 32, 16)


def test_pictures_of_all_kinds(tmp_path):
    Image.new("RGBA", (4, 2), (10, 20, 30, 0)).save(tmp_path / "alpha.png")
    Image.new("L", (4, 2), 7).save(tmp_path / "gray.png")
    Image.new("P", (4, 2)).save(tmp_path / "palette.png")
    Image.fromarray(np.full((2, 4), 200 * 257, np.uint16)).save(tmp_path / "deep.png")
    turned = Image.new("RGB", (2, 4))
    turned.getexif()[0x0112] = 6
    exif = turned.getexif()
    turned.save(tmp_path / "turned.jpg", exif=exif)
    for path in tmp_path.iterdir():
        assert store.read_picture(path).shape == (2, 4, 3), path.name
    levels = [store.read_picture(tmp_path / name) * 255 for name in ("alpha.png", "deep.png")]
    assert levels[0][0, 0].tolist() == pytest.approx([10, 20, 30])
    assert levels[1][0, 0].tolist() == pytest.approx([200] * 3)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_what_is_no_picture_is_named(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(AnchorError, match=r"a\.png cannot be read as a picture"):
        store.read_picture(tmp_path / "a.png")


def test_a_recipe(tmp_path):
    assert store.read_recipe(tmp_path) == {}
    store.write_recipe(tmp_path / "new", {"prompt": "ein Bär", "steps": 3})
    assert store.read_recipe(tmp_path / "new") == {"prompt": "ein Bär", "steps": 3}
    assert "Bär" in (tmp_path / "new" / store.RECIPE).read_text(encoding="utf-8")
    store.write_recipe(tmp_path / "odd", {"prompt": "half \ud800 a character"})
    assert store.read_recipe(tmp_path / "odd") == {"prompt": "half ? a character"}
    for broken in (b"{", b"\xff\xfe", json.dumps([1]).encode()):
        (tmp_path / store.RECIPE).write_bytes(broken)
        assert store.read_recipe(tmp_path) == {}
