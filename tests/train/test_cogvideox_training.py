"""Algorithm 1 on CogVideoX: pairs, v-prediction, and a run from files without ComfyUI."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest
import torch
from clips import Clips, config
from tiny_pipeline import _tokenizer, write_job, write_world

sys.path.append(str(Path(__file__).resolve().parents[1] / "core"))

import cogvideox_reference as reference

from fvg_core.backbones.cogvideox import COGVIDEOX15
from fvg_core.lora.files import read_lora
from fvg_core.process import V_PREDICTION
from fvg_core.train.algorithm import counted, draw, losses
from fvg_core.train.config import Algorithm
from fvg_core.train.encoders import decode_video, encoders
from fvg_core.train.headless import train
from fvg_core.train.job import read_job
from fvg_core.train.processes import Processes
from fvg_core.train.trainer import Share, Trainer
from fvg_core.train.validation import held_out_loss

CPU = torch.device("cpu")


def drawn(seed: int, **settings):
    z0 = torch.randn(1, 16, 6, 4, 4, generator=torch.Generator().manual_seed(seed))
    gen = torch.Generator().manual_seed(seed)
    return draw(z0, Algorithm(**settings), gen, patch_time=2)


def test_anchors_are_whole_pairs_and_every_pair_is_drawn():
    masks = [drawn(seed, unanchored_share=0.0).plan.mask[0, 0, :, 0, 0] for seed in range(60)]
    pairs = torch.stack(masks).unflatten(1, (3, 2))
    assert torch.equal(pairs[..., 0], pairs[..., 1])
    assert (pairs[..., 0].sum(1) == 2).all()  # one of three is given
    assert ((1 - pairs[..., 0]).sum(0) > 10).all()  # of 60, twenty expected
    assert all((drawn(s, unanchored_share=0.99).plan.mask == 1).all() for s in (1, 2, 3))


def test_the_loss_is_that_of_the_authors_on_what_is_noised_and_zero_for_the_truth():
    """Theirs weights the clean latent's error by 1 / (1 - abar) (THUDM/CogVideo finetune): the
    velocity's error. Written out here with diffusers' scheduler."""
    from diffusers import CogVideoXDDIMScheduler

    scheduler = CogVideoXDDIMScheduler(
        prediction_type="v_prediction", rescale_betas_zero_snr=True, snr_shift_scale=1.0
    )
    d = drawn(3, unanchored_share=0.0)
    z0, timestep = d.plan.clean, V_PREDICTION.timestep(d.t).long()
    free = d.plan.mask[0, 0, :, 0, 0].bool()
    seen = {}

    def network(x, t):
        seen["x"], seen["t"] = x, t
        return 0.1 * x.roll(1, 2)

    ours = losses(network, d, counted(d, "masked"), V_PREDICTION)
    noisy = scheduler.add_noise(z0, d.eps, timestep)
    assert torch.equal(seen["x"][:, :, ~free], z0[:, :, ~free])
    torch.testing.assert_close(seen["x"][:, :, free], noisy[:, :, free], rtol=0, atol=1e-5)
    assert torch.equal(seen["t"][0], torch.where(free, d.t, torch.zeros(())))
    abar = scheduler.alphas_cumprod[timestep].float()
    predicted = abar.sqrt() * noisy - (1 - abar).sqrt() * (0.1 * seen["x"].roll(1, 2))
    theirs = ((predicted - z0)[:, :, free] ** 2 / (1 - abar)).mean()
    torch.testing.assert_close(ours[0], theirs, rtol=1e-4, atol=1e-6)
    truth = V_PREDICTION.target(z0, d.eps, d.t)
    assert losses(lambda x, t: truth, d, counted(d, "masked"), V_PREDICTION) == 0


def test_training_learns_to_use_the_anchor():
    """Clips of an odd number of latent frames, whose first pair is filled up in front."""
    settings = config(
        steps=90, batch=8, micro_batch=8, algorithm={"first_frame_share": 0.5}, lora={"rank": 8}
    )
    plain, backbone = reference.small().module.state_dict(), reference.small()
    with Trainer(backbone, Clips(40, frames=5), settings) as trainer:
        start = held_out_loss(trainer)
        states = list(trainer.run())
        end = held_out_loss(trainer)
        lora = trainer.lora_state()
    gain = lambda held_out: held_out.unanchored / held_out.anchored - 1
    assert gain(start) < 0.005  # it does not know what a clean pair is
    assert gain(end) > 0.01
    assert states[-1].loss < 0.5 * states[0].loss
    assert len(lora) == 2 * (2 * 8 + 6)
    assert all(w.abs().max() > 0 for w in lora.values())
    after = backbone.module.state_dict()
    assert all(torch.equal(plain[key], after[key]) for key in plain)


def test_checkpointed_blocks_give_the_same_lora():
    """Their arguments have names, and their norms are ours in the second forward pass too."""

    def trained(checkpointing: bool) -> dict:
        settings = config(steps=2, memory={"gradient_checkpointing": checkpointing})
        with Trainer(reference.small(), Clips(14, frames=5), settings) as trainer:
            list(trainer.run())
            return trainer.lora_state()

    plain, again = trained(False), trained(True)
    for name, weight in plain.items():
        torch.testing.assert_close(again[name], weight, rtol=0, atol=1e-5)


def write_pipeline(folder: Path) -> Path:
    """The four parts, with the layout of THUDM/CogVideoX1.5-5B and small widths."""
    from diffusers import AutoencoderKLCogVideoX
    from transformers import T5Config, T5EncoderModel

    reference.small(text_embed_dim=16).module.save_pretrained(folder / "transformer")
    torch.manual_seed(0)
    widths = {"block_out_channels": (4, 4, 4, 4), "norm_num_groups": 2, "layers_per_block": 1}
    AutoencoderKLCogVideoX(**widths, latent_channels=16, scaling_factor=0.7).save_pretrained(
        folder / "vae"
    )
    text = T5Config(vocab_size=200, d_model=16, d_kv=8, d_ff=16, num_heads=2, num_layers=1)
    T5EncoderModel(text).save_pretrained(folder / "text_encoder")
    _tokenizer().save_pretrained(folder / "tokenizer")
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("cogvideox")
    random.seed(0)
    job = write_job(
        place, write_pipeline(place / "pipeline"), write_world(place / "clips"),
        top="steps = 4\nbatch = 2", keep="validate_every = 4\nvalidation_clips = 1",
        videos="steps = 3",
    )  # fmt: skip
    train(read_job(job), place / "alone", Processes(Share(), CPU, lambda: None))
    return place


def test_a_run_from_files_leaves_a_lora_in_the_hosts_layout(run):
    lora = read_lora(run / "alone" / "alone.safetensors")
    assert (lora.layout, lora.rank) == ("host", 3)
    assert "blocks.1.attn_out.lora_A.weight" in lora.tensors
    assert lora.metadata["family"].startswith("CogVideoX 1.5")
    assert "k uniform over the tokens of 2 latent frames" in lora.metadata["anchors"]
    assert list((run / "alone" / "validation").glob("*/video-0.webp"))


def test_latents_and_texts_are_scaled_as_the_authors_do(run):
    """Latents times the VAE's scaling factor; features with the padding's, unmasked."""
    from diffusers import AutoencoderKLCogVideoX
    from transformers import AutoTokenizer, T5EncoderModel

    files, pipeline = read_job(run / "job.toml").model, run / "pipeline"
    pixels = torch.rand(9, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    with encoders(files, COGVIDEOX15, CPU, torch.float32) as (encode_video, encode_text):
        latents, features = encode_video(pixels), encode_text("red circle")
    vae = AutoencoderKLCogVideoX.from_pretrained(pipeline / "vae").eval()
    tokenizer = AutoTokenizer.from_pretrained(pipeline / "tokenizer")
    tokens = tokenizer("red circle", padding="max_length", max_length=24, return_tensors="pt")
    text = T5EncoderModel.from_pretrained(pipeline / "text_encoder")
    with torch.no_grad():
        video = pixels.movedim(-1, 0)[None] * 2 - 1
        plain = 0.7 * vae.encode(video).latent_dist.mode()[0]
        torch.testing.assert_close(latents, plain, rtol=0, atol=1e-5)
        torch.testing.assert_close(features, text(tokens.input_ids)[0][0], rtol=0, atol=1e-5)
    assert latents.shape == (16, 3, 4, 4)
    shown = decode_video(files, latents, CPU)
    with torch.no_grad():
        direct = vae.decode(plain[None] / 0.7).sample[0].movedim(0, -1) / 2 + 0.5
    torch.testing.assert_close(shown, direct.clamp(0, 1), rtol=0, atol=1e-4)
