"""Encoding once: what is kept, found again, made again, and what a trainer reads.

The encoders of exact_encoders count their calls; the host's VAE and CLIP have tests of their own.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from clip_files import caption, grays, write_video
from exact_encoders import ROWS, TARGET, WIDTH, Encoders
from scans import scan
from torch import Tensor

from fvg_core.backbones.wan import WAN21
from fvg_core.data import CachedDataset, Target, build_cache, decode, plan
from fvg_core.errors import DataError

CHILD = Path(__file__).with_name("caching_child.py")


def made(
    source: Path, cache: Path, encoders: Encoders, target=TARGET, key="models", **more
) -> CachedDataset:
    samples = plan(scan(source), target, WAN21).samples
    for _ in build_cache(
        samples, cache, encode_video=encoders.video, encode_text=encoders.text, key=key, **more
    ):
        pass
    return CachedDataset(cache)


def shards(cache: Path) -> list[Path]:
    return sorted(cache.glob("*.safetensors"))


def everything(data: CachedDataset) -> list[Tensor]:
    parts = [part for i in range(len(data)) for part in (data.latents(i), data.text(i))]
    return [data.empty_text, *parts]


def same(a: CachedDataset, b: CachedDataset) -> bool:
    pairs = zip(everything(a), everything(b), strict=True)
    return a.ids == b.ids and all(torch.equal(x, y) for x, y in pairs)


def test_the_dataset_gives_back_what_was_encoded(source: Path, tmp_path: Path):
    encoders = Encoders()
    data = made(source, tmp_path / "cache", encoders)
    assert len(data) == 4
    assert data.key == "models"
    assert data.captions == ("clip a", "clip b", "clip c", "clip d")
    assert len(set(data.ids)) == 4
    assert data.buckets == {(3, 2, 6): (2,), (3, 4, 4): (0, 1, 3)}
    for i, (clip, sample) in enumerate(
        zip(scan(source).clips, plan(scan(source), TARGET, WAN21).samples, strict=True)
    ):
        width, height, length = sample.bucket
        pixels = decode(clip.path, width=width, height=height, length=length, fps=8)
        assert torch.equal(data.latents(i), Encoders().video(pixels.float() / 255))
        assert torch.equal(data.text(i), Encoders().text(clip.caption))
    assert torch.equal(data.empty_text, Encoders().text(""))
    assert not (tmp_path / "cache" / "pending").exists()


def test_tensors_can_be_trained_with_even_in_inference_mode(source: Path, tmp_path: Path):
    with torch.inference_mode():
        data = made(source, tmp_path / "cache", Encoders())
        read = everything(data)
    assert not any(tensor.is_inference() for tensor in read)
    assert {tensor.dtype for tensor in read} == {torch.float32}


def test_text_is_stored_without_its_zero_rows(source: Path, tmp_path: Path):
    class Odd(Encoders):
        def text(self, text: str) -> Tensor:
            if not text:
                return torch.zeros(ROWS, WIDTH)
            features = super().text(text)
            features[5, 2] = -0.0  # a bit is set, so the row is kept
            return features

    data = made(source, tmp_path / "cache", Odd())
    from safetensors import safe_open

    with safe_open(shards(tmp_path / "cache")[0], "pt") as file:
        heights = sorted(file.get_slice(k).get_shape()[0] for k in file.keys())  # noqa: SIM118
    assert heights == [0, 3, 3, 3, 3, 6, 6, 6, 6]
    expected = Odd().text("clip a")
    assert torch.equal(data.text(0).view(torch.int32), expected.view(torch.int32))
    assert data.empty_text.shape == (ROWS, WIDTH)


def test_a_second_run_encodes_nothing(source: Path, tmp_path: Path):
    first = made(source, tmp_path / "cache", Encoders())
    written = {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").iterdir()}
    again = Encoders()
    assert same(first, made(source, tmp_path / "cache", again))
    assert (again.clips, again.texts) == (0, [])
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "cache").iterdir()} == written


def test_only_what_changed_is_encoded_again(source: Path, tmp_path: Path):
    cache = tmp_path / "cache"
    first = made(source, cache, Encoders())
    caption(source / "b.mp4", "a new caption")
    encoders = Encoders()
    second = made(source, cache, encoders)
    assert (encoders.clips, encoders.texts) == (0, ["a new caption"])
    assert [a == b for a, b in zip(first.ids, second.ids, strict=True)] == [True, False, True, True]
    assert second.fingerprint != first.fingerprint
    assert torch.equal(second.text(1), Encoders().text("a new caption"))
    write_video(source / "c.mp4", grays(11, 64, 32))
    third = made(source, cache, encoders := Encoders())
    assert (encoders.clips, encoders.texts) == (1, [])
    assert not torch.equal(third.latents(2)[:, -1], third.latents(2)[:, 0])
    made(source, cache, encoders := Encoders(), key="other models")
    assert (encoders.clips, len(encoders.texts)) == (4, 5)
    made(source, cache, encoders := Encoders(), Target(32, 32, 5, 8))
    assert (encoders.clips, encoders.texts) == (4, [])
    made(source, cache, encoders := Encoders(), Target(32, 32, 5, 8, windows=2))
    assert (encoders.clips, encoders.texts) == (4, [])  # the beginnings are there already
    fourth = made(restored(source), cache, encoders := Encoders())
    assert same(first, fourth)
    assert (encoders.clips, encoders.texts) == (0, [])


def test_pieces_of_a_clip_are_known_as_such(source: Path, tmp_path: Path):
    data = made(source, tmp_path / "cache", Encoders(), Target(32, 32, 5, 8, windows=2))
    clips = {clip.name: clip.facts.digest for clip in scan(source).clips}
    assert data.digests == tuple(clips[name] for name in data.clips)
    assert len(data) == len(set(data.ids)) > len(clips)


def restored(source: Path) -> Path:
    caption(source / "b.mp4", "clip b")
    write_video(source / "c.mp4", grays(9, 64, 32))
    return source


def test_the_fingerprint_tells_datasets_apart(source: Path, tmp_path: Path):
    a = made(source, tmp_path / "a", Encoders())
    assert made(source, tmp_path / "b", Encoders()).fingerprint == a.fingerprint
    assert made(source, tmp_path / "c", Encoders(), key="others").fingerprint != a.fingerprint
    (source / "d.mp4").unlink()
    assert made(source, tmp_path / "d", Encoders()).fingerprint != a.fingerprint


def test_large_caches_have_several_shards(source: Path, tmp_path: Path):
    whole = made(source, tmp_path / "one", Encoders())
    data = made(source, tmp_path / "many", Encoders(), shard_bytes=600)
    assert len(shards(tmp_path / "one")) == 1
    assert len(shards(tmp_path / "many")) == 3
    assert same(whole, data)


def test_reading_opens_only_the_file_that_holds_the_sample(source: Path, tmp_path: Path):
    data = made(source, tmp_path / "cache", Encoders(), shard_bytes=1)
    parts = everything(data)
    for i in range(len(data)):
        for path in shards(tmp_path / "cache"):
            path.rename(path.with_suffix(".away"))
        with pytest.raises(DataError):
            data.latents(i)
        # One file at a time: with all others away, the sample is read or refused.
        readable = []
        for path in sorted((tmp_path / "cache").glob("*.away")):
            path.rename(path.with_suffix(".safetensors"))
            with contextlib.suppress(DataError):
                readable.append(data.latents(i))
            path.with_suffix(".safetensors").rename(path)
        (only,) = readable
        assert torch.equal(only, parts[1 + 2 * i])
        for path in (tmp_path / "cache").glob("*.away"):
            path.rename(path.with_suffix(".safetensors"))


DAMAGES = {
    "cut off": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "one bit": lambda data: data[:-40] + bytes([data[-40] ^ 1]) + data[-39:],
    "header": lambda data: b"\xff" * 8 + data[8:],
    "other content": lambda data: b"not tensors",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_shard_is_named_and_made_again(source: Path, tmp_path: Path, damage: str):
    cache = tmp_path / "cache"
    data = made(source, cache, Encoders(), shard_bytes=1500)
    before = everything(data)
    assert not data.damage()
    path = Path(cache, shards(cache)[-1].name)
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    assert data.damage() == [path.name]
    with pytest.raises(DataError, match=path.name) as raised:
        everything(data)
    assert "Delete it and run the caching again" in str(raised.value)
    encoders = Encoders()
    again = made(source, cache, encoders, shard_bytes=1500)
    assert 0 < encoders.clips + len(encoders.texts) < 9  # what the other shards hold is kept
    assert all(torch.equal(a, b) for a, b in zip(everything(again), before, strict=True))


def test_a_deleted_shard_is_made_again(source: Path, tmp_path: Path):
    cache = tmp_path / "cache"
    data = made(source, cache, Encoders(), shard_bytes=1500)
    before = everything(data)
    shards(cache)[0].unlink()
    assert len(data.damage()) == 1
    with pytest.raises(
        DataError, match=r"damaged or missing .*Delete it and run the caching again"
    ):
        everything(data)
    again = made(source, cache, Encoders(), shard_bytes=1500)
    assert all(torch.equal(a, b) for a, b in zip(everything(again), before, strict=True))


@pytest.mark.parametrize("content", [None, "{", "[]", "{}", json.dumps({"format": 1})])
def test_a_lost_index_costs_nothing_but_a_run(source: Path, tmp_path: Path, content):
    cache = tmp_path / "cache"
    before = made(source, cache, Encoders())
    (cache / "index.json").unlink()
    if content is not None:
        (cache / "index.json").write_text(content)
    with pytest.raises(DataError, match="holds no finished dataset"):
        CachedDataset(cache)
    encoders = Encoders()
    assert same(made(source, cache, encoders), before)
    assert (encoders.clips, encoders.texts) == (0, [])


def child(source: Path, cache: Path, *more: str) -> subprocess.Popen:
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, str(CHILD), str(source), str(cache), *more],
        env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("after", [0, 1, 3, 6, 8])
def test_a_killed_run_goes_on_where_it_stopped(source: Path, tmp_path: Path, after: int):
    """The child tells what it encodes and is killed inside or between shards."""
    cache = tmp_path / "cache"
    process = child(source, cache, "600", "slow")
    told = [process.stdout.readline() for _ in range(after + 1)]
    assert all(told), process.stderr.read()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    stored = [line for line in [*told, *process.stdout] if line.startswith("stored")]
    assert not (cache / "index.json").exists()
    encoders = Encoders()
    data = made(source, cache, encoders, shard_bytes=600)
    assert encoders.clips + len(encoders.texts) <= 9 - len(stored)
    assert not (cache / "pending").exists()
    assert same(data, made(source, tmp_path / "never killed", Encoders()))
    assert not [*cache.rglob("*.part")]


def test_a_run_killed_while_it_writes_leaves_nothing_half(source: Path, tmp_path: Path):
    """The child loses and remakes its shards without end, and dies at a moment nobody chose."""
    cache = tmp_path / "cache"
    for wait in (0.05, 0.31, 0.5, 0.83):
        process = child(source, cache, "600", "endless")
        assert process.stdout.readline()
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        if (cache / "index.json").exists():
            json.loads((cache / "index.json").read_text())
    assert same(
        made(source, cache, Encoders(), shard_bytes=600),
        made(source, tmp_path / "never killed", Encoders()),
    )
    assert not [*cache.rglob("*.part")]


def test_a_full_disk(source: Path, tmp_path: Path):
    """A limit on file size stands for it: the write fails in the same place and way."""
    cache = tmp_path / "cache"
    process = child(source, cache, "1000000000", "limit", "2000")
    out, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "DataError: could not write shard-" in err
    assert "GB left. Free some space there and run it again" in err
    stored = out.count("stored")
    assert stored == 9
    assert not shards(cache)
    assert not [*cache.rglob("*.part")]
    assert not (cache / "index.json").exists()
    encoders = Encoders()
    made(source, cache, encoders)
    assert (encoders.clips, encoders.texts) == (0, [])
