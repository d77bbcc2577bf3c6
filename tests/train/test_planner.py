"""The memory plan against counted parameters and measured bytes."""

from __future__ import annotations

import re
import weakref
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fvg_core.backbones import WAN21
from fvg_core.backbones.cogvideox import COGVIDEOX15_5B
from fvg_core.backbones.diffusers_cogvideox import DiffusersCogVideoX, architecture
from fvg_core.backbones.diffusers_models import on_meta
from fvg_core.backbones.diffusers_wan import DiffusersWan
from fvg_core.backbones.table import latent_shape
from fvg_core.backbones.wan import WAN21_1_3B, WAN21_14B
from fvg_core.lora.adapter import attach
from fvg_core.train import planner
from fvg_core.train.config import TrainConfig
from fvg_core.train.job import Job, read_job
from fvg_core.train.memory import prepared
from fvg_core.train.planner import available_memory, plan_for, sizes_of

CPU = torch.device("cpu")
# Wan-Video/Wan2.1 wan/configs, Wan-Video/Wan2.2 wan/configs: heads of 128, ffn, blocks, channels.
WANS = {
    "1.3B": (12, 8960, 30, 16),
    "14B": (40, 13824, 40, 16),
    "5B": (24, 14336, 30, 48),
}
CLIP = (21, 60, 104)  # latents of 832 x 480, 81 frames


def wan(heads, ffn, layers, channels=16, *, device="meta", dtype=torch.bfloat16) -> DiffusersWan:
    from diffusers import WanTransformer3DModel

    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            return DiffusersWan(
                WanTransformer3DModel(
                    num_attention_heads=heads,
                    ffn_dim=ffn,
                    num_layers=layers,
                    in_channels=channels,
                    out_channels=channels,
                )
            )
    finally:
        torch.set_default_dtype(torch.float32)


def config(**values) -> TrainConfig:
    return TrainConfig.parse(values)


def test_the_papers_lora_on_14b_is_what_the_notes_say():
    blocks = plan_for(wan(*WANS["14B"]), config(lora={"targets": r"blocks\..*"}), CLIP)
    assert blocks.lora_parameters == pytest.approx(1.23e9, rel=0.005)
    weights = 4 * blocks.lora_parameters
    assert weights + blocks.parts["gradients"] + blocks.parts["optimizer"] == pytest.approx(
        19.6e9, rel=0.005
    )
    everything = plan_for(wan(*WANS["14B"]), config(), CLIP)  # embedders and head too
    assert everything.lora_parameters == pytest.approx(1.246e9, rel=0.001)


@pytest.mark.parametrize("name", WANS)
def test_sizes_against_the_architecture(name):
    heads, ffn, layers, channels = WANS[name]
    d, text, freq, patch = 128 * heads, 4096, 256, 4 * channels
    sizes = sizes_of(wan(*WANS[name]))
    block = 8 * d * d + 2 * d * ffn
    assert sizes.blocks == (block,) * layers
    assert (sizes.dim, sizes.ffn, sizes.itemsize, sizes.lora_layers) == (d, ffn, 2, 10)
    embedders = (freq + d) + 2 * d + (text + d) + 2 * d + (d + 6 * d) + (d + patch)
    assert sizes.lora_features == layers * (8 * 2 * d + 2 * (d + ffn)) + embedders
    assert sum(sizes.blocks) + sizes.other == pytest.approx(
        {"1.3B": 1.42e9, "14B": 14.29e9, "5B": 5.0e9}[name], rel=0.01
    )


@pytest.mark.parametrize("targets", [None, r"blocks\.\d+\.self_attn\.[qv]"])
def test_the_lora_is_as_large_as_the_one_attached(targets):
    model = wan(2, 512, 3, device="cpu")
    settings = config(lora={"rank": 5, "targets": targets})
    plan = plan_for(model, settings, CLIP)
    adapter = attach(model, rank=5, alpha=5, targets=targets)
    assert plan.lora_parameters == sum(p.numel() for p in adapter.parameters())
    adapter.eject()


class Live(TorchDispatchMode):
    """Bytes of the storages that operations make, and the most at one time."""

    def __init__(self):
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.now = self.most = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self._see(tensor.untyped_storage())
        return out

    def _see(self, storage) -> None:
        key = storage._cdata
        if key not in self.sizes:
            self.sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        self.now -= self.sizes.pop(key, 0)


def measured(model: DiffusersWan, settings: TrainConfig, latent: tuple[int, int, int]) -> int:
    """Bytes that a forward and backward pass has live beside the model and the LoRA. The tensors
    are fake, so that real sizes take neither memory nor time."""
    lora, bf16 = settings.lora, settings.memory.dtype == "bf16"
    adapter = attach(model, rank=lora.rank, alpha=1, dropout=lora.dropout)
    with prepared(model, settings.memory, CPU), FakeTensorMode(allow_non_fake_inputs=True):
        batch = settings.micro_batch
        x, sigma = torch.randn(batch, 16, *latent), torch.rand(batch, latent[0])
        text = torch.randn(batch, 512, 4096)
        with Live() as live:
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                v = model.denoise(x, sigma, text)
            v.float().square().mean().backward()
    for p in adapter.parameters():
        p.grad = None
    adapter.eject()
    return live.most


@pytest.mark.parametrize(
    ("heads", "ffn", "layers", "settings"),
    [
        (4, 2048, 3, {}),
        (4, 2048, 3, {"memory": {"gradient_checkpointing": False}}),
        (4, 2048, 6, {"memory": {"gradient_checkpointing": False}}),
        (4, 2048, 3, {"memory": {"dtype": "fp32"}}),
        (4, 2048, 3, {"memory": {"dtype": "fp32", "gradient_checkpointing": False}}),
        (4, 1024, 3, {"lora": {"dropout": 0.1}}),
        (4, 1024, 3, {"micro_batch": 2}),
        (4, 1024, 3, {"memory": {"fp8_base": True}}),
        (12, 8960, 2, {}),  # the width of the 1.3B
    ],
    ids=str,
)
def test_activations_against_measured_bytes(heads, ffn, layers, settings):
    settings = config(**{"lora": {"rank": 64}, **settings})
    dtype = torch.bfloat16 if settings.memory.dtype == "bf16" else torch.float32
    model = wan(heads, ffn, layers, device="cpu", dtype=dtype)
    plan = plan_for(model, settings, CLIP)
    found = measured(model, settings, CLIP)
    expected = plan.parts["activations"] + plan.parts.get("block inputs", 0)
    assert 0.87 < found / expected < 1.15, (found, plan.lines())


@pytest.mark.parametrize("settings", [{}, {"memory": {"gradient_checkpointing": False}}], ids=str)
def test_for_cogvideox_the_plan_is_an_upper_bound(settings):
    from diffusers import CogVideoXTransformer3DModel

    settings, shape = config(**{"lora": {"rank": 64}, **settings}), (22, 32, 48)
    sizes = {**architecture(COGVIDEOX15_5B), "num_attention_heads": 8, "num_layers": 3}
    model = DiffusersCogVideoX(CogVideoXTransformer3DModel(**sizes).to(torch.bfloat16))
    plan = plan_for(model, settings, shape)
    found = measured(model, settings, shape)
    expected = plan.parts["activations"] + plan.parts.get("block inputs", 0)
    assert 0.65 < found / expected < 1, (found, plan.lines())


def test_each_setting_saves_what_it_says():
    model = wan(*WANS["14B"])
    plain = plan_for(model, config(), CLIP)
    linear = sum(sizes_of(model).blocks)

    def saved(**values):
        return plain.total - plan_for(model, config(**values), CLIP).total

    lora = plain.lora_parameters
    assert saved(optimizer={"name": "adamw8bit"}) == 6 * lora
    assert saved(memory={"cpu_optimizer": True}) == 8 * lora
    assert saved(optimizer={"ema": 0.99}) == -4 * lora
    assert saved(memory={"fp8_base": True}) == pytest.approx(linear, rel=0.03)
    assert saved(memory={"offload_blocks": 40}) > 2 * linear
    assert saved(memory={"gradient_checkpointing": False}) < 0
    assert saved(lora={"rank": 64}) > 0.7 * 16 * lora


def test_advice_makes_the_paper_setting_fit_in_order_of_harm():
    settings = config(micro_batch=4, memory={"gradient_checkpointing": False})
    plan = plan_for(wan(*WANS["1.3B"]), settings, CLIP)
    assert not plan.fits(24_000_000_000)
    advice = plan.advice(24_000_000_000)
    assert [line.split(" = ")[0].removeprefix("set ") for line in advice] == [
        "memory.gradient_checkpointing",
        "micro_batch",
    ]
    remains = float(advice[-1].split("GB, ")[1].split()[0])
    saves = sum(float(line.split("saves ")[1].split()[0]) for line in advice)
    assert plan.total / 1e9 - saves == pytest.approx(remains, abs=0.2)
    assert remains < 24


def test_advice_goes_to_the_end_and_says_so():
    advice = plan_for(wan(*WANS["14B"]), config(), (21, 90, 160)).advice(8_000_000_000)
    assert [line.split(" = ")[0].removeprefix("set ") for line in advice[:-1]] == [
        "optimizer.name",
        "memory.cpu_optimizer",
        "memory.fp8_base",
        "memory.offload_blocks",
        "lora.rank",
    ]
    assert "shorter or smaller clips" in advice[-1]
    assert plan_for(wan(*WANS["14B"]), config(), CLIP).advice(10**12) == []


@pytest.mark.parametrize("blocks", [0, 3])
def test_advice_names_no_offload_where_there_is_none(blocks):
    settings = config(memory={"offload_blocks": blocks})
    plan = plan_for(wan(*WANS["14B"]), settings, (21, 90, 160))
    advice = plan.advice(8_000_000_000, offload=False)
    assert any("fp8_base" in line for line in advice)
    assert not any("offload_blocks" in line for line in advice)


def test_offloading_takes_no_more_blocks_than_needed():
    plan = plan_for(wan(*WANS["14B"]), config(lora={"rank": 16}), (5, 60, 104))
    available = 20_000_000_000
    (line,) = [a for a in plan.advice(available) if "offload_blocks" in a]
    blocks = int(line.split("offload_blocks = ")[1].split(":")[0])
    base = {"fp8_base": True, "cpu_optimizer": True}
    settle = lambda n: plan_for(
        wan(*WANS["14B"]),
        config(lora={"rank": 16}, memory={**base, "offload_blocks": n}),
        (5, 60, 104),
    )
    assert 0 < blocks < 40
    assert settle(blocks).fits(available)
    assert not settle(blocks - 1).fits(available)


CONFIGS = Path(planner.__file__).parent / "configs"
SPECS = {"wan21-1.3b": WAN21_1_3B, "cogvideox15-5b": COGVIDEOX15_5B}  # all others: the 14B
CARD_24_GB = 24_000_000_000


def ready(name: str) -> tuple[Job, planner.MemoryPlan]:
    """A ready config, and its plan for the clips that it asks for."""
    job = read_job(CONFIGS / f"{name}.toml")
    data = job.data
    shape = ((data.length - 1) // 4 + 1, data.height // 8, data.width // 8)
    model = on_meta(SPECS.get(name, WAN21_14B))
    return job, plan_for(model, job.config, shape, job.model.text_length)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda p: p.stem)
def test_ready_configs_are_sound_and_say_what_they_need(path):
    job, plan = ready(path.stem)
    assert plan.latent_shape == latent_shape(SPECS.get(path.stem, WAN21_14B))
    assert (job.config.steps, job.config.batch) == (6000, 16)  # paper, section 5.1
    assert job.data.target(WAN21).fps == WAN21.fps
    said = re.search(r"about (\d+) GB \(planner\)", path.read_text(encoding="utf-8"))
    assert int(said[1]) == pytest.approx(plan.total / 1e9, abs=1)


def test_which_ready_configs_fit_a_card_of_24_gb():
    fitting = {p.stem for p in CONFIGS.glob("*.toml") if ready(p.stem)[1].fits(CARD_24_GB)}
    assert fitting == {"wan21-1.3b", "wan21-14b-24gb"}
    small = ready("wan21-14b-24gb")[0].config
    assert small.lora.rank <= 64
    assert {p.stem for p in CONFIGS.glob("*.toml") if ready(p.stem)[0].config.lora.rank == 256} == {
        "cogvideox15-5b",
        "wan21-1.3b",
        "wan21-14b",
        "wan22-a14b-high",
        "wan22-a14b-low",
    }


def test_the_experts_of_a14b_have_their_own_weights_and_sigmas():
    parts = {e: ready(f"wan22-a14b-{e}")[0] for e in ("high", "low")}
    assert {e: (str(j.model.transformer), j.config.algorithm.expert) for e, j in parts.items()} == {
        "high": ("transformer", "high"),
        "low": ("transformer_2", "low"),
    }


def test_the_table_adds_up():
    plan = plan_for(wan(*WANS["14B"]), config(), CLIP)
    *rows, last = [float(line.split()[-2]) for line in plan.lines()]
    assert sum(rows) == pytest.approx(last, abs=0.05)


def test_free_memory_of_this_machine():
    assert 10**7 < available_memory("cpu") < 10**14
    assert available_memory("meta") is None
