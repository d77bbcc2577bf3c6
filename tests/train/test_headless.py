"""Training from a TOML file without ComfyUI: real files, real encoders, real processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parent))

from tiny_pipeline import FEATURES, write_job, write_pipeline, write_world

from fvg_core.backbones import WAN21, WAN22_5B
from fvg_core.data import CachedDataset
from fvg_core.errors import ModelMismatchError, TrainingError, WeightsError
from fvg_core.lora.files import read_lora
from fvg_core.train.encoders import decode_video, encoders, encoders_key
from fvg_core.train.headless import Stopped, train
from fvg_core.train.job import read_job
from fvg_core.train.order import held_out
from fvg_core.train.processes import Processes
from fvg_core.train.run import read_history
from fvg_core.train.trainer import Share

ROOT = Path(__file__).resolve().parents[2]
CPU = torch.device("cpu")
ALONE = Processes(Share(), CPU, lambda: None)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a pipeline, clips, a job, and what one process makes of it."""
    place = tmp_path_factory.mktemp("headless")
    job = write_job(place, write_pipeline(place / "pipeline"), write_world(place / "clips"))
    train(read_job(job), place / "alone", ALONE)
    return place


def another(place: Path, folder: Path, **tables: str):
    """The job with other tables."""
    folder.mkdir(exist_ok=True)
    return read_job(write_job(folder, place / "pipeline", place / "clips", **tables))


def command(*args: object, processes: int = 1) -> subprocess.CompletedProcess:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1"}
    start = [sys.executable]
    if processes > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        launch = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes)]
        start += ["-m", *launch, "--num_machines", "1", "--mixed_precision", "no"]
        start += ["--dynamo_backend", "no", "--main_process_port", str(port)]
    return subprocess.run(
        [*start, "-m", "fvg_core", "train", *map(str, args)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def losses(run: Path) -> list[float]:
    return [record["loss"] for record in read_history(run)]


def test_a_run_leaves_a_lora_with_its_recipe(place):
    lora = read_lora(place / "alone" / "alone.safetensors")
    assert lora.layout == "host"
    assert lora.rank == 3
    assert any(t.abs().max() > 0 for name, t in lora.tensors.items() if "lora_B" in name)
    recipe = lora.metadata
    index = json.loads((place / "alone" / "dataset" / "index.json").read_text())
    assert len(index["samples"]) == 5
    assert recipe["base_model"] == "pipeline/transformer"
    assert (recipe["rank"], recipe["alpha"], recipe["steps"], recipe["clips"]) == tuple(
        ("3", "3.0", "6", "4")
    )
    assert json.loads(recipe["config"])["optimizer"]["lr"] == 3e-3
    assert len(recipe["dataset"]) == 64
    assert set(json.loads(recipe["versions"])) >= {"torch", "diffusers", "peft"}
    assert recipe["anchors"].startswith("k uniform over the latent frames")
    assert len(losses(place / "alone")) == 6
    assert {s for s, r in enumerate(read_history(place / "alone"), 1) if r.get("held_out")} == {
        3,
        6,
    }


def test_every_validation_leaves_a_video_that_starts_at_its_anchor(place):
    folder = place / "alone" / "validation"
    assert sorted(p.name for p in folder.iterdir()) == ["step-00000003", "step-00000006"]
    video = Image.open(folder / "step-00000006" / "video-0.webp")
    assert (video.size, video.n_frames) == ((32, 32), 9)
    job, data = read_job(place / "job.toml"), CachedDataset(place / "alone" / "dataset")
    (clip,) = held_out(data.digests, 1)
    truth = decode_video(job.model, data.latents(clip), CPU)  # causal: frame 0 is latent 0 alone
    shown = torch.from_numpy(np.asarray(video.convert("RGB"), dtype=np.float32) / 255)
    other = decode_video(job.model, data.latents(clip).flip(1), CPU)
    coarse = lambda frame: frame.unflatten(0, (4, 8)).unflatten(2, (4, 8)).mean((1, 3))
    far = [(coarse(shown) - coarse(frames[0])).abs().mean() for frames in (truth, other)]
    assert far[0] < 0.3 * far[1]  # WebP blurs, but not over eight pixels


def test_no_videos_where_none_are_wanted(place, tmp_path):
    job = another(place, tmp_path, videos="steps = 0", top="steps = 3\nbatch = 4")
    train(job, tmp_path / "run", ALONE)
    assert not (tmp_path / "run" / "validation").exists()


def test_a_signal_saves_and_the_run_goes_on_to_the_same_lora(place, tmp_path):
    job, out = read_job(place / "job.toml"), tmp_path / "stopped"

    def ask_at_step(step: int) -> None:
        while len(read_history(out)) < step:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    watcher = threading.Thread(target=ask_at_step, args=[1])
    watcher.start()
    with pytest.raises(Stopped, match="the state is saved"):
        train(job, out, ALONE)
    watcher.join()
    assert signal.getsignal(signal.SIGINT) is before
    steps = len(read_history(out))
    assert 1 <= steps < 6
    assert [p.name for p in sorted((out / "checkpoints").iterdir())][-1] == (
        f"step-{steps:08d}.safetensors"
    )
    assert not (out / "stopped.safetensors").exists()

    first = read_history(out)
    train(job, out, ALONE, must_resume=True)
    assert read_history(out)[:steps] == first  # with the times they took: not trained again
    straight = read_lora(place / "alone" / "alone.safetensors")
    resumed = read_lora(out / "stopped.safetensors")
    assert all(torch.equal(t, resumed.tensors[k]) for k, t in straight.tensors.items())
    assert losses(out) == losses(place / "alone")


@pytest.mark.timeout(300)
def test_two_processes_train_the_lora_of_one(place, tmp_path):
    out = tmp_path / "both"
    done = command(place / "job.toml", "--out", out, processes=2)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "2 processes" in done.stdout
    assert losses(out) == pytest.approx(losses(place / "alone"), abs=1e-5)
    together = read_lora(out / "both.safetensors")
    for name, tensor in read_lora(place / "alone" / "alone.safetensors").tensors.items():
        torch.testing.assert_close(together.tensors[name], tensor, rtol=0, atol=1e-5)
    assert done.stdout.count("Memory that training will need") == 1  # the leader speaks


@pytest.mark.timeout(300)
def test_a_loss_that_is_no_number_ends_all_processes(place, tmp_path):
    job = tmp_path / "job.toml"
    another(place, tmp_path, optimizer="lr = 1e30\nwarmup = 0", lora="rank = 1")
    done = command(job, "--out", tmp_path / "run", processes=2)
    assert done.returncode != 0
    assert "TrainingError: the loss became" in done.stderr
    assert not (tmp_path / "run" / "run.safetensors").exists()


def test_the_command_says_what_is_wrong_in_a_line(tmp_path):
    (tmp_path / "job.toml").write_text("step = 3")
    done = command(tmp_path / "job.toml")
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1] == (
        "TrainingError: job.toml has unknown settings: step (did you mean steps?)."
    )


def test_small_memory_and_an_expert_and_diffusers_layout(place, tmp_path):
    job = another(
        place,
        tmp_path,
        top="steps = 2\nbatch = 1",
        memory="fp8_base = true\noffload_blocks = 1",
        algorithm='expert = "low"',
        keep="checkpoint_every = 0\nvalidate_every = 0\nvalidation_clips = 0",
    )
    file = train(job, tmp_path / "small", ALONE, layout="diffusers")
    lora = read_lora(file)
    assert lora.layout == "diffusers"
    assert {t.dtype for t in lora.tensors.values()} == {torch.bfloat16}
    assert json.loads(lora.metadata["config"])["algorithm"]["expert"] == "low"


def test_what_cannot_start_says_so_before_anything_is_loaded(place, tmp_path):
    job = read_job(place / "job.toml")
    with pytest.raises(TrainingError, match="nothing to go on from"):
        train(job, tmp_path, ALONE, must_resume=True)
    with pytest.raises(TrainingError, match="the layout is 'kohya'"):
        train(job, tmp_path, ALONE, layout="kohya")


# What the encoders give.


def test_latents_are_normalised_and_text_is_padded_with_zeros(place):
    files = read_job(place / "job.toml").model
    frames = torch.rand(9, 32, 48, 3, generator=torch.Generator().manual_seed(0))
    with encoders(files, WAN21, CPU, torch.float32) as (video, text):
        latents, features, empty = video(frames), text("a red circle"), text("")
        assert torch.equal(video(frames), latents)
        assert not torch.equal(video(frames.flip(0)), latents)
    assert latents.shape == (16, 3, 4, 6)
    assert features.shape == empty.shape == (24, FEATURES)
    used = features.abs().amax(1) > 0
    assert used.tolist() == [True] * 4 + [False] * 20  # three words and </s>
    assert (empty.abs().amax(1) > 0).sum() == 1


def test_the_key_follows_the_weights(place, tmp_path):
    files = read_job(place / "job.toml").model
    key = encoders_key(files, WAN21, torch.float32)
    assert encoders_key(files, WAN21, torch.float32) == key
    assert encoders_key(files, WAN21, torch.bfloat16) != key
    with altered(place / "pipeline" / "vae"):
        assert encoders_key(files, WAN21, torch.float32) != key


def test_a_run_goes_on_with_its_own_weights_only(place):
    refused = pytest.raises(TrainingError, match=r"other settings \(the model\)")
    with altered(place / "pipeline" / "transformer"), refused:
        train(read_job(place / "job.toml"), place / "alone", ALONE)


@contextlib.contextmanager
def altered(part: Path) -> Iterator[None]:
    """The weights of a part with another last byte."""
    path = part / "diffusion_pytorch_model.safetensors"
    before = path.read_bytes()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    try:
        yield
    finally:
        path.write_bytes(before)


def test_wrong_or_missing_parts_are_named(place):
    files = read_job(place / "job.toml").model
    with (
        pytest.raises(ModelMismatchError, match="latents of 16 channels"),
        encoders(files, WAN22_5B, CPU, torch.float32),
    ):
        pass
    gone = files.model_copy(update={"vae": Path("nowhere")})
    with (
        pytest.raises(WeightsError, match="there is no folder"),
        encoders(gone, WAN21, CPU, torch.float32),
    ):
        pass


# The job file.

MINIMAL = '[model]\nfolder = "wan"\n[data]\nfolder = "clips"\n'


def job_of(folder: Path, text: str, **options):
    path = folder / "job.toml"
    path.write_text(text, encoding="utf-8")
    return read_job(path, **options)


def test_a_short_job_has_the_papers_settings(tmp_path):
    job = job_of(tmp_path, MINIMAL)
    assert (job.config.steps, job.config.batch, job.config.lora.rank) == (6000, 16, 256)
    assert job.model.part("transformer") == tmp_path / "wan" / "transformer"
    assert job.data.folder == tmp_path / "clips"
    assert job.data.target(WAN21).fps == 16
    assert job_of(tmp_path, MINIMAL, steps=7).config.steps == 7
    elsewhere = MINIMAL.replace('"wan"', '"wan"\nvae = "/vaes/wan"')
    assert job_of(tmp_path, elsewhere).model.part("vae") == Path("/vaes/wan")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stps = 3\n" + MINIMAL, r"stps \(did you mean steps\?\)"),
        (MINIMAL + "[optimiser]\nlr = 1", r"optimiser \(did you mean optimizer\?\)"),
        (MINIMAL + "[optimizer]\nlearning = 1", r"optimizer\.learning"),
        (MINIMAL + "[lora]\nranks = 1", r"did you mean lora\.rank\?"),
        (MINIMAL.replace("[data]", "[data]\nheigth = 480"), r"did you mean data\.height\?"),
        ('[model]\nfolder = "wan"', r"lacks \[data\]"),
        ("[model]\n[data]\nfolder = 'x'", r"model\.folder"),
        (MINIMAL + "[lora]\nrank = 0", r"lora\.rank = 0"),
        ("model = 3\n[data]\nfolder = 'x'", r"model = 3"),
        ("steps = = 3", "is not TOML"),
        (
            MINIMAL.replace("[data]", 'dtype = "bf16"\n[data]') + '[memory]\ndtype = "fp32"',
            "set both to the same",
        ),
    ],
)
def test_wrong_jobs_are_refused(tmp_path, text, message):
    with pytest.raises(TrainingError, match=message):
        job_of(tmp_path, text)


def test_a_job_that_is_not_there(tmp_path):
    with pytest.raises(TrainingError, match="cannot be read"):
        read_job(tmp_path / "none.toml")
