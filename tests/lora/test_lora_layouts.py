"""LoRA files: every layout that is published, both that we write, and all that is refused."""

from __future__ import annotations

import json

import pytest
import small_wan
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from fvg_core.errors import LoraError
from fvg_core.lora import files
from fvg_core.lora.adapter import attach
from fvg_core.lora.files import read_lora, save_lora
from fvg_core.lora.names import WAN_NAMES as WAN

RANK, ALPHA = 3, 6.0


@pytest.fixture(scope="module")
def state() -> dict[str, torch.Tensor]:
    return small_wan.filled(attach(small_wan.backbone(), rank=RANK, alpha=ALPHA).state())


def write(path, tensors, metadata=None):
    save_file({k: v.clone() for k, v in tensors.items()}, path, metadata)
    return path


def assert_same(tensors, state) -> None:
    assert tensors.keys() == state.keys()
    assert all(torch.equal(tensors[key], state[key]) for key in state)


def layers(state) -> set[str]:
    return {key.rsplit(".lora_", 1)[0] for key in state}


def spelled(state, prefix, rename, a="lora_A", b="lora_B") -> dict[str, torch.Tensor]:
    """The same tensors with other keys."""
    out = {}
    for key, value in state.items():
        module, part = key.removesuffix(".weight").rsplit(".lora_", 1)
        out[f"{prefix}{rename(module)}.{a if part == 'A' else b}.weight"] = value
    return out


def alphas(state, prefix, rename, alpha=ALPHA) -> dict[str, torch.Tensor]:
    return {f"{prefix}{rename(module)}.alpha": torch.tensor(alpha) for module in layers(state)}


def same(name: str) -> str:
    return name


def flat(name: str) -> str:
    return name.replace(".", "_")


DOWN_UP = ("lora_down", "lora_up")
DEFAULT = ("lora_A.default", "lora_B.default")
# name: layout, prefix, spelling of the layer, spelling of A and B, with alpha
PUBLISHED = {
    "host": ("host", "diffusion_model.", same, (), True),
    "host, Pusa repackaged": ("host", "diffusion_model.", same, DOWN_UP, True),
    "host without alpha": ("host", "diffusion_model.", same, (), False),
    "diffusers": ("diffusers", "transformer.", WAN.to_diffusers, (), False),
    "peft": ("peft", "base_model.model.", WAN.to_diffusers, (), False),
    "peft on the published model": ("peft", "base_model.model.", same, (), False),
    "peft with the adapter's name": (
        "peft",
        "base_model.model.",
        WAN.to_diffusers,
        DEFAULT,
        False,
    ),
    "kohya": ("kohya", "lora_unet_", flat, DOWN_UP, True),
    "kohya, Wan Fun": ("kohya", "lora_unet__", flat, DOWN_UP, True),
    "diffsynth, Pusa as published": ("diffsynth", "", same, DEFAULT, False),
    "diffsynth with the pipeline": ("diffsynth", "pipe.dit.", same, DEFAULT, False),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_layouts_are_read(tmp_path, state, name):
    layout, prefix, rename, parts, with_alpha = PUBLISHED[name]
    tensors = spelled(state, prefix, rename, *parts)
    if with_alpha:
        tensors |= alphas(state, prefix, rename)
    lora = read_lora(write(tmp_path / "x.safetensors", tensors, {"recipe": "soup"}))
    assert_same(lora.tensors, state)
    assert lora.alpha == dict.fromkeys(layers(state), ALPHA if with_alpha else float(RANK))
    assert (lora.rank, lora.layout, lora.metadata) == (RANK, layout, {"recipe": "soup"})


def test_a_rank_that_differs_by_layer(tmp_path):
    tensors = {}
    for i, rank in enumerate((2, 5)):
        tensors[f"diffusion_model.blocks.{i}.ffn.0.lora_down.weight"] = torch.ones(rank, 4)
        tensors[f"diffusion_model.blocks.{i}.ffn.0.lora_up.weight"] = torch.ones(7, rank)
    lora = read_lora(write(tmp_path / "x.safetensors", tensors))
    assert lora.rank == 5
    assert lora.alpha == {"blocks.0.ffn.0": 2.0, "blocks.1.ffn.0": 5.0}
    for layout in files.LAYOUTS:
        path = tmp_path / f"{layout}.safetensors"
        save_lora(path, lora.tensors, alpha=lora.alpha, metadata={}, layout=layout)
        assert read_lora(path).alpha == lora.alpha


@settings(deadline=None, max_examples=20)
@given(
    layout=st.sampled_from(files.LAYOUTS),
    dtype=st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
    alpha=st.floats(0.01, 1000),
    metadata=st.dictionaries(
        st.text(min_size=1), st.text() | st.integers() | st.lists(st.floats(0, 1))
    ),
)
def test_what_is_saved_is_read_back(tmp_path_factory, state, layout, dtype, alpha, metadata):
    path = tmp_path_factory.mktemp("lora") / "new" / "x.safetensors"
    metadata.pop(files.ADAPTER_METADATA, None)
    save_lora(path, state, alpha=alpha, metadata=metadata, layout=layout, dtype=dtype)
    lora = read_lora(path)
    assert_same(lora.tensors, {key: value.to(dtype) for key, value in state.items()})
    assert lora.alpha == pytest.approx(dict.fromkeys(layers(state), alpha))
    assert lora.layout == layout
    for key, value in metadata.items():
        assert lora.metadata[key] == (value if isinstance(value, str) else json.dumps(value))


def test_the_hosts_layout_is_as_the_host_writes_it(tmp_path, state):
    path = tmp_path / "x.safetensors"
    save_lora(path, state, alpha=ALPHA, metadata={})
    tensors = load_file(path)
    keys = spelled(state, "diffusion_model.", same).keys()
    assert tensors.keys() == keys | alphas(state, "diffusion_model.", same).keys()
    assert {v.dtype for k, v in tensors.items() if "lora" in k} == {torch.bfloat16}
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt"}
    save_lora(path, state, alpha=RANK, metadata={})
    assert load_file(path).keys() == keys  # scale 1 needs no alpha


def velocity(backbone) -> torch.Tensor:
    with torch.no_grad():
        return backbone.denoise(*small_wan.inputs())


@pytest.mark.parametrize(
    ("layout", "alpha", "targets"),
    [
        ("diffusers", ALPHA, None),
        ("host", float(RANK), None),
        ("host", ALPHA, r"blocks\..*"),  # its converter takes an alpha on no other layer
    ],
)
def test_diffusers_own_loader_makes_the_same_of_the_file(tmp_path, layout, alpha, targets):
    from diffusers import WanPipeline
    from diffusers.loaders.lora_pipeline import WanLoraLoaderMixin

    ours, theirs = small_wan.backbone(), small_wan.backbone()
    adapter = attach(ours, rank=RANK, alpha=alpha, targets=targets)
    adapter.load(small_wan.filled(adapter.state()))
    save_lora(
        tmp_path / "x.safetensors",
        adapter.state(),
        alpha=alpha,
        metadata={"steps": 3},
        layout=layout,
        dtype=torch.float32,
    )
    keys, metadata = WanPipeline.lora_state_dict(
        str(tmp_path), weight_name="x.safetensors", return_lora_metadata=True
    )
    plain = velocity(theirs)
    WanLoraLoaderMixin.load_lora_into_transformer(keys, theirs.module, metadata=metadata)
    assert (velocity(theirs) - plain).abs().max() > 1
    torch.testing.assert_close(velocity(theirs), velocity(ours), rtol=1e-4, atol=1e-4)


def test_what_peft_saves_is_read_with_its_alpha(tmp_path):
    from peft import LoraConfig, get_peft_model

    special = "blocks.1.attn1.to_q"
    config = LoraConfig(
        r=RANK,
        lora_alpha=ALPHA,
        target_modules=["to_q", "ffn.net.2", "proj_out"],
        alpha_pattern={special: 1.5},
        init_lora_weights=False,
    )
    model = get_peft_model(small_wan.backbone().module, config)
    model.save_pretrained(tmp_path)
    lora = read_lora(tmp_path / "adapter_model.safetensors")
    assert lora.layout == "peft"
    assert len(lora.alpha) == 2 * 3 + 1
    assert lora.alpha["blocks.1.self_attn.q"] == 1.5
    assert {v for k, v in lora.alpha.items() if k != "blocks.1.self_attn.q"} == {ALPHA}


def test_a_file_that_was_read_can_be_saved_in_the_other_layout(tmp_path, state):
    first, second, third = (tmp_path / f"{i}.safetensors" for i in range(3))
    save_lora(first, state, alpha=ALPHA, metadata={"steps": 3}, dtype=torch.float32)
    for path, following, layout in ((first, second, "diffusers"), (second, third, "host")):
        lora = read_lora(path)
        save_lora(
            following,
            lora.tensors,
            alpha=lora.alpha,
            metadata=lora.metadata,
            layout=layout,
            dtype=torch.float32,
        )
    assert_same(load_file(third), load_file(first))
    assert read_lora(third).metadata == read_lora(first).metadata == {"format": "pt", "steps": "3"}


A, B = (
    "diffusion_model.blocks.0.ffn.0.lora_A.weight",
    "diffusion_model.blocks.0.ffn.0.lora_B.weight",
)
PAIR = {A: torch.ones(2, 4), B: torch.ones(5, 2)}
ONE = torch.ones(1)
REFUSED = {
    "a bias": (
        {**PAIR, "diffusion_model.blocks.0.ffn.0.diff_b": ONE},
        r"blocks\.0\.ffn\.0\.diff_b",
    ),
    "a norm": ({**PAIR, "diffusion_model.blocks.0.norm3.diff": ONE}, r"norm3\.diff are not"),
    "DoRA": ({**PAIR, "diffusion_model.blocks.0.ffn.0.dora_scale": ONE}, "dora_scale"),
    "another model's layer": ({**PAIR, A.replace("ffn", "mlp"): ONE}, r"mlp\.0\.lora_A"),
    "another model's LoRA": ({"lora_unet_down_blocks_0_q.lora_down.weight": ONE}, "down_blocks_0"),
    "a layer that is not linear": ({A.replace("ffn.0", "norm3"): ONE}, "norm3"),
    "a checkpoint": ({"blocks.0.ffn.0.weight": ONE}, r"blocks\.0\.ffn\.0\.weight"),
    "many unknown keys": ({f"x{i}": ONE for i in range(9)}, "x3 and 5 more"),
    "nothing": ({}, "holds no LoRA weights"),
    "A without B": ({A: PAIR[A]}, r"ffn\.0\.lora_A\.weight but not .*lora_B"),
    "B without A": ({B: PAIR[B]}, r"ffn\.0\.lora_B\.weight but not .*lora_A"),
    "alpha alone": ({**PAIR, "diffusion_model.head.head.alpha": ONE}, "head.head have an alpha"),
    "ranks that differ": ({A: PAIR[A], B: torch.ones(5, 3)}, r"A \[2, 4\] and B \[5, 3\]"),
    "a convolution": ({A: torch.ones(2, 4, 1, 1), B: torch.ones(5, 2, 1, 1)}, r"A \[2, 4, 1, 1\]"),
    "rank 0": ({A: torch.ones(0, 4), B: torch.ones(5, 0)}, r"A \[0, 4\]"),
    "the same weight twice": (
        {**PAIR, "transformer.blocks.0.ffn.net.0.proj.lora_A.weight": PAIR[A]},
        "another key has named",
    ),
    "two alphas": ({**PAIR, "diffusion_model.blocks.0.ffn.0.alpha": torch.ones(2)}, "one finite"),
    "no alpha": (
        {**PAIR, "diffusion_model.blocks.0.ffn.0.alpha": torch.tensor(float("nan"))},
        "one finite",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_files_are_refused_with_the_reason(tmp_path, case):
    tensors, match = REFUSED[case]
    with pytest.raises(LoraError, match=match) as raised:
        read_lora(write(tmp_path / "mine.safetensors", tensors))
    assert "mine.safetensors" in str(raised.value)


CONFIGS = {
    "DoRA": ({"use_dora": True}, "use_dora"),
    "rank-stabilised": ({"use_rslora": True}, "use_rslora"),
    "an alpha that is no number": ({"lora_alpha": "big"}, "'big'"),
    "a pattern for nobody": ({"alpha_pattern": {"(a+)+$": 1}}, r"'\(a\+\)\+\$'"),
    "patterns that are no table": ({"alpha_pattern": [1]}, "alpha_pattern is"),
    "not a table": ([1], "not JSON as peft"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_configurations_that_change_the_formula_are_refused(tmp_path, case):
    config, match = CONFIGS[case]
    metadata = {files.ADAPTER_METADATA: json.dumps(config)}
    with pytest.raises(LoraError, match=match):
        read_lora(write(tmp_path / "x.safetensors", PAIR, metadata))


def test_damaged_metadata_is_refused(tmp_path):
    with pytest.raises(LoraError, match="not JSON"):
        read_lora(write(tmp_path / "x.safetensors", PAIR, {files.ADAPTER_METADATA: "{"}))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file_is_refused(tmp_path, state, share):
    path = tmp_path / "x.safetensors"
    save_lora(path, state, alpha=ALPHA, metadata={})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(LoraError, match="cut off or no safetensors file: fetch it again"):
        read_lora(path)


def test_a_missing_file_and_a_pickle_are_refused(tmp_path):
    with pytest.raises(LoraError, match="does not exist"):
        read_lora(tmp_path / "x.safetensors")
    torch.save(PAIR, tmp_path / "pusa_v1.pt")
    with pytest.raises(LoraError, match="Convert it"):
        read_lora(tmp_path / "pusa_v1.pt")


def test_saving_refuses_what_reading_would_refuse(tmp_path, state):
    path = tmp_path / "x.safetensors"
    for wrong, more, match in (
        ({k: v for k, v in state.items() if "lora_B" not in k}, {}, "but not"),
        ({}, {}, "holds no LoRA"),
        (state, {"layout": "kohya"}, "must be one of host, diffusers"),
    ):
        with pytest.raises(LoraError, match=match):
            save_lora(path, wrong, alpha=ALPHA, metadata={}, **more)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file(tmp_path, state):
    import resource

    path = tmp_path / "x.safetensors"
    save_lora(path, state, alpha=ALPHA, metadata={"run": 1})
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(LoraError, match="what stood there before is untouched"):
            save_lora(path, state, alpha=ALPHA, metadata={"run": 2})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_metadata_that_cannot_be_written_leaves_the_old_file(tmp_path, state):
    path = tmp_path / "x.safetensors"
    save_lora(path, state, alpha=ALPHA, metadata={"run": 1})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save_lora(path, state, alpha=ALPHA, metadata={"run": object()})
    assert path.read_bytes() == before


def test_the_tiny_worlds_lora_is_read():
    root = files.__file__.rsplit("lora", 1)[0]
    lora = read_lora(f"{root}tiny/weights/loras/fvg_tiny_anchor_lora.safetensors")
    assert (lora.layout, lora.rank) == ("host", 16)
    assert set(lora.alpha.values()) == {16.0}
    assert "recipe" in lora.metadata


def test_a_folder_of_the_same_name_is_refused_and_nothing_stays_behind(tmp_path, state):
    path = tmp_path / "x.safetensors"
    path.mkdir()
    with pytest.raises(LoraError, match="choose another folder"):
        save_lora(path, state, alpha=ALPHA, metadata={})
    assert list(tmp_path.iterdir()) == [path]
