"""The Video Dataset node on the real server: clips in, latents and text features out."""

from __future__ import annotations

import io
import random
import shutil
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_files import caption, write_frames, write_video
from graphs import Builder, forget
from PIL import Image
from safetensors.torch import save_file

from fvg_core.bench.client import Event, InterruptedRunError, RunError
from fvg_core.data import CachedDataset
from fvg_core.tiny.captions import prompt_spans, text
from fvg_core.tiny.render import render
from fvg_core.tiny.scenes import Scene, sample_scene

pytestmark = pytest.mark.host

SHAPE = (16, 5, 8, 8)
ENOUGH_DB = 25.0  # of the tiny VAE on clips that H.264 has already changed a little


def scenes(count: int, seed: int = 0) -> list[Scene]:
    rng = random.Random(seed)
    return [sample_scene(rng) for _ in range(count)]


def words(scene: Scene) -> str:
    return text(prompt_spans(scene.prompt))


def movies(scenes: list[Scene]) -> np.ndarray:
    return render(scenes).numpy()


class Room:
    """A folder of clips in the server's input, and runs of the node on it."""

    def __init__(self, comfy, client) -> None:
        self.comfy, self.client = comfy, client
        self.name = f"clips-{uuid.uuid4().hex[:8]}"
        self.folder = comfy.input / self.name
        self.folder.mkdir()

    def graph(self, **more) -> tuple[Builder, str]:
        graph = Builder()
        graph.world(lora=False)
        inputs = {
            "folder": self.name, "width": 64, "height": 64, "length": 17, "fps": 8.0,
            "bucketing": True, "windows": 1, **more,
        }  # fmt: skip
        node = graph.add(
            "FVGVideoDataset",
            **{"model": graph.model, "vae": graph.vae, "clip": graph.clip, **inputs},
        )
        self.shown = graph.add("PreviewAny", source=[node, 1])
        return graph, node

    def run(self, **more) -> str:
        """The report of a run."""
        graph, _ = self.graph(**more)
        result = self.client.run(graph.graph)
        return result.outputs[self.shown]["text"][0]

    def error(self, **more) -> str:
        graph, _ = self.graph(**more)
        with pytest.raises(RunError) as raised:
            self.client.run(graph.graph)
        assert raised.value.node_type == "FVGVideoDataset"
        return str(raised.value)

    @property
    def caches(self) -> list[Path]:
        return sorted(self.comfy.output.glob(f"fvg/datasets/{self.name}-*"))

    @property
    def dataset(self) -> CachedDataset:
        (cache,) = self.caches
        return CachedDataset(cache)


@pytest.fixture
def room(comfy, client) -> Room:
    return Room(comfy, client)


def decoded(room: Room, latents: torch.Tensor) -> np.ndarray:
    """Latents through the stock loader and VAE decoder of the host: uint8 [F, H, W, 3]."""
    from diffusers import AutoencoderKLWan

    config = {
        name: torch.tensor(p.default).view(1, -1, 1, 1, 1)
        for name, p in _parameters(AutoencoderKLWan).items()
        if name in ("latents_mean", "latents_std")
    }
    raw = latents[None] * config["latents_std"] + config["latents_mean"]
    name = f"{uuid.uuid4().hex}.latent"
    save_file(
        {"latent_tensor": raw.contiguous(), "latent_format_version_0": torch.tensor([])},
        room.comfy.input / name,
    )
    graph = Builder()
    graph.world(lora=False)
    samples = [graph.add("LoadLatent", latent=name), 0]
    images = [graph.add("VAEDecode", samples=samples, vae=graph.vae), 0]
    saved = graph.add("PreviewImage", images=images)
    files = room.client.run(graph.graph).files(saved)
    return np.stack([np.asarray(Image.open(io.BytesIO(room.client.fetch(f)))) for f in files])


def _parameters(cls):
    import inspect

    return inspect.signature(cls.__init__).parameters


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    error = ((a.astype(float) - b.astype(float)) ** 2).mean()
    return float(10 * np.log10(255**2 / error))


@pytest.mark.timeout(300)
def test_good_clips_are_encoded_and_bad_ones_listed(room: Room):
    found = scenes(5)
    clips = movies(found)
    for scene, clip, suffix in zip(found, clips, (".mp4", ".webm", ".mkv", ".mov"), strict=False):
        number = suffix.strip(".")
        caption(write_video(room.folder / f"{number}{suffix}", clip, 8, crf=2), words(scene))
    caption(write_frames(room.folder / "frames", clips[4]), words(found[4]))
    shutil.copy(room.folder / "mp4.mp4", room.folder / "same.mp4")
    caption(room.folder / "same.mp4", "a copy")
    caption(write_video(room.folder / "short.mp4", clips[0][:3], 8), "too short")
    (room.folder / "mute.mp4").write_bytes(b"")
    caption(room.folder / "broken.mp4", "broken").write_bytes(b"no video")
    report = room.run()
    assert "5 samples from 5 clips, 8 frames a second." in report
    assert "64 x 64, 17 frames: 5" in report
    assert "11 texts and clips encoded." in report
    assert "4 left out:" in report
    for line in (
        "short.mp4: too short", "same.mp4: duplicate", "mute.mp4: no caption", "broken.mp4: unread"
    ):  # fmt: skip
        assert line in report
    data = room.dataset
    assert data.buckets == {SHAPE[1:]: (0, 1, 2, 3, 4)}
    order = ["frames", "mkv.mkv", "mov.mov", "mp4.mp4", "webm.webm"]
    assert [*data.clips] == order
    by_name = dict(
        zip(["mp4.mp4", "webm.webm", "mkv.mkv", "mov.mov", "frames"], clips, strict=True)
    )
    for index in (0, 3, 4):  # frames, mp4, webm
        assert data.latents(index).shape == SHAPE
        assert psnr(decoded(room, data.latents(index)), by_name[order[index]]) > ENOUGH_DB
    assert psnr(decoded(room, data.latents(0)), by_name["mkv.mkv"]) < ENOUGH_DB
    assert 0.3 < float(torch.stack([data.latents(i) for i in range(5)]).std()) < 2  # normalised
    assert data.text(0).shape == data.empty_text.shape
    assert data.empty_text[0].any()
    assert not torch.equal(data.text(0), data.text(1))


@pytest.mark.timeout(300)
def test_a_second_run_encodes_nothing_and_a_change_only_itself(room: Room):
    found = scenes(3, seed=1)
    for n, (scene, clip) in enumerate(zip(found, movies(found), strict=True)):
        caption(write_video(room.folder / f"{n}.mp4", clip, 8), words(scene))
    assert "7 texts and clips encoded." in room.run()
    before = room.dataset
    forget(room.client)
    assert "0 texts and clips encoded." in room.run()
    assert room.dataset.fingerprint == before.fingerprint
    graph, node = room.graph()
    assert node in room.client.run(graph.graph).cached  # the host itself need not run it
    caption(room.folder / "1.mp4", "a red ball stays still on a gray background")
    assert "1 texts and clips encoded." in room.run()
    (room.folder / "2.mp4").unlink()
    assert "2 samples from 2 clips" in room.run()
    assert room.dataset.ids[0] == before.ids[0]
    assert room.dataset.ids[1] != before.ids[1]
    assert "4 samples from 2 clips" in room.run(length=9, windows=2)  # in a cache of its own
    assert len(room.caches) == 2


@pytest.mark.timeout(300)
def test_a_damaged_cache_is_repaired_though_the_host_remembers_the_run(room: Room):
    (scene,) = scenes(1, seed=2)
    caption(write_video(room.folder / "a.mp4", movies([scene])[0], 8), words(scene))
    room.run()
    before = room.dataset.latents(0)
    next(room.caches[0].glob("*.safetensors")).unlink()
    assert "3 texts and clips encoded." in room.run()
    assert torch.equal(room.dataset.latents(0), before)
    shutil.rmtree(room.caches[0])
    assert "3 texts and clips encoded." in room.run()
    assert torch.equal(room.dataset.latents(0), before)


@pytest.mark.timeout(300)
def test_caching_tells_its_progress_and_can_be_interrupted(room: Room):
    found = scenes(30, seed=3)
    for n, clip in enumerate(movies(found)):
        caption(write_frames(room.folder / f"{n}", clip), "one caption for all")
    graph, node = room.graph()
    told: list[tuple[float, float]] = []
    asked: list[float] = []

    def watch(event: Event) -> None:
        if event.kind == "progress" and event.node == node:
            told.append((event.value, event.maximum))
            if event.maximum == 32 and event.value > 5 and not asked:
                asked.append(event.value)
                room.client.interrupt(event.data["prompt_id"])

    with pytest.raises(InterruptedRunError):
        room.client.run(graph.graph, on_event=watch)
    assert (30, 30) in told  # the scan
    assert asked
    assert told[-1][0] < 32
    report = room.run()
    assert "30 samples from 30 clips" in report
    (encoded,) = (int(line.split()[0]) for line in report.splitlines() if "encoded" in line)
    assert encoded <= 32 - asked[0]


OUTSIDE = "only folders below ComfyUI's input or output folder are read"


@pytest.mark.parametrize("folder", ["", " ", ".", "..", "../user", "clips/../..", "\0"])
def test_folders_that_lead_out(room: Room, folder: str):
    said = room.error(folder=folder)
    assert OUTSIDE in said or "is not a path" in said


def test_other_places_are_refused_whether_they_exist_or_not(room: Room, tmp_path: Path):
    caption(write_video(tmp_path / "a.mp4", movies(scenes(1))[0], 8), "outside")
    (room.folder / "link").symlink_to(tmp_path)
    for folder in (str(tmp_path), str(tmp_path / "gone"), f"{room.name}/link"):
        assert OUTSIDE in room.error(folder=folder)
    assert not room.caches


def test_a_full_path_below_the_output_folder(room: Room):
    (scene,) = scenes(1, seed=4)
    folder = room.comfy.output / f"{room.name}-made" / "deep"
    caption(write_video(folder / "a.mp4", movies([scene])[0], 8), words(scene))
    assert "1 samples from 1 clips" in room.run(folder=str(folder))


def test_nothing_usable_lists_the_reasons(room: Room):
    assert "holds no clips" in room.error()
    caption(room.folder / "a.mp4", "broken").write_bytes(b"no video")
    (room.folder / "b.mp4").write_bytes(b"no video")
    said = room.error()
    assert "a.mp4: unreadable" in said
    assert "b.mp4: no caption" in said
    assert "there is no folder" in room.error(folder=f"{room.name}/gone")


@pytest.mark.parametrize(
    ("change", "said"),
    [({"width": 72}, "64 and 80"), ({"length": 18}, "17 and 21")],
)
def test_sizes_that_the_model_cannot_take(room: Room, change, said):
    assert said in room.error(**change)


def test_a_vae_or_clip_of_another_model(room: Room):
    import checkpoints

    (scene,) = scenes(1, seed=5)
    caption(write_video(room.folder / "a.mp4", movies([scene])[0], 8), words(scene))
    name = checkpoints.write("wan22_5b", room.comfy.output / "diffusion_models")
    graph, node = room.graph()
    other = graph.add("UNETLoader", unet_name=name, weight_dtype="default")
    graph.graph[node]["inputs"]["model"] = [other, 0]
    with pytest.raises(RunError) as raised:
        room.client.run(graph.graph)
    assert "the VAE makes latents of 16 channels, one for 8 x 8 pixels" in str(raised.value)
    assert "takes 48 channels, one for 16 x 16" in str(raised.value)
    assert not room.caches
