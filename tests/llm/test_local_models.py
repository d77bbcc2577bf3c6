"""Models from a folder: loaded by transformers, drawn with a seed, stopped, released, refused."""

from __future__ import annotations

import gc
import json
import shutil
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import tiny_chat_models as tiny
import torch
from safetensors.torch import load_file, save_file

from fvg_core.errors import LanguageModelError
from fvg_core.llm import Message, Sampling, is_model_folder, open_folder

CHAT = [Message("system", tiny.SYSTEM), Message("user", tiny.QUESTION)]
GREEDY = Sampling(temperature=0, max_tokens=80)


@pytest.fixture(scope="module", params=["qwen2", "qwen3"])
def folder(request, tmp_path_factory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("models") / request.param, request.param)


@pytest.fixture(scope="module")
def qwen2(tmp_path_factory) -> Path:
    return tiny.save(tmp_path_factory.mktemp("models") / "Tiny-Instruct")


def test_a_folder_answers_what_it_learned(folder: Path):
    with open_folder(folder, "fp32") as model:
        assert model.reply(CHAT, GREEDY) == tiny.ANSWER
        assert model.name == f"transformers: {folder.name}"


def test_bf16_is_the_default(qwen2: Path):
    with open_folder(qwen2) as model:
        assert model.network.dtype == torch.bfloat16
        assert model.reply(CHAT, GREEDY) == tiny.ANSWER


def test_a_seed_is_a_text_and_the_global_generator_stays(qwen2: Path):
    hot = Sampling(temperature=5.0, max_tokens=12)
    with open_folder(qwen2, "fp32") as model:
        state = torch.get_rng_state()
        texts = [model.reply(CHAT, replace(hot, seed=seed)) for seed in (1, 1, 2)]
        assert torch.equal(torch.get_rng_state(), state)
    assert texts[0] == texts[1] != texts[2]


def test_tick_is_called_within_tokens_and_stops(qwen2: Path):
    class Stop(Exception):
        pass

    calls = []

    def tick():
        calls.append(1)
        if len(calls) == 5:
            raise Stop

    with open_folder(qwen2, "fp32") as model:
        with pytest.raises(Stop):
            model.reply(CHAT, GREEDY, tick)
        assert len(calls) == 5
        assert model.reply(CHAT, GREEDY) == tiny.ANSWER  # no hook is left
        assert len(calls) == 5


def test_the_weights_are_released_though_the_model_is_held(qwen2: Path):
    with open_folder(qwen2, "fp32") as model:
        weights = weakref.ref(model.network.get_input_embeddings().weight)
        model.reply(CHAT, GREEDY)
    gc.collect()
    assert weights() is None


def test_the_key_follows_files_and_precision(qwen2: Path, tmp_path: Path):
    copy = shutil.copytree(qwen2, tmp_path / "copy")

    def key(dtype: str) -> str:
        with open_folder(copy, dtype) as model:
            return model.key

    first = key("fp32")
    assert first == key("fp32") != key("bf16")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"rms_norm_eps": 1e-5}))
    assert key("fp32") != first


@pytest.mark.parametrize("words", ["<|im_end|><|im_start|>", "<|im_<|im_end|>end|>", "[INST]"])
def test_words_that_steer_a_chat_are_taken_out_of_a_prompt(qwen2: Path, words: str):
    with open_folder(qwen2, "fp32") as model:
        model._tokenizer.add_special_tokens({"additional_special_tokens": ["[INST]"]})
        control = set(model._tokenizer.convert_tokens_to_ids([*tiny.SPECIAL, "[INST]"]))
        steered = [CHAT[0], Message("user", f"a ball {words} rolls")]
        seen, plain = (
            [i for i in model._tokens(chat)["input_ids"][0].tolist() if i in control]
            for chat in (steered, CHAT)
        )
    assert seen == plain


def test_a_family_without_system_role_gets_it_in_the_first_turn(tmp_path: Path):
    strict = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    folder = tiny.save(tmp_path / "strict")
    (folder / "chat_template.jinja").write_text(strict + tiny.TEMPLATE)
    with open_folder(folder, "fp32") as model:
        seen = model._tokens(CHAT)["input_ids"][0]
        text = model._tokenizer.decode(seen)
    assert text.startswith(f"<|im_start|>user\n{tiny.SYSTEM}\n\n{tiny.QUESTION}<|im_end|>")


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")


def own_code(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    own = {"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"}
    config |= {"auto_map": own, "model_type": "own"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text("raise SystemExit('ran')")


def cut(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def untalkative(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "/elsewhere"}')


def incomplete(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})


def no_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (pickled, "Only weights in safetensors"),
        (own_code, "without code of its own"),
        (cut, "cannot be loaded"),
        (untalkative, "no chat template"),
        (adapter, "holds an adapter"),
        (no_tokenizer, "holds no tokenizer"),
        (incomplete, "lacks 1 weights of its model, e.g. model.norm.weight"),
    ],
)
def test_a_bad_folder_is_refused_in_words(qwen2: Path, tmp_path: Path, damage, why: str):
    copy = shutil.copytree(qwen2, tmp_path / "bad")
    damage(copy)
    with pytest.raises(LanguageModelError, match=why) as raised, open_folder(copy, "fp32"):
        pass
    assert str(tmp_path) not in str(raised.value)


def test_four_bits_without_a_gpu_are_refused(qwen2: Path):
    with (
        pytest.raises(LanguageModelError, match="CUDA device and the package"),
        open_folder(qwen2, "4bit"),
    ):
        pass


def test_a_chat_longer_than_the_model_is_refused(qwen2: Path):
    with open_folder(qwen2, "fp32") as model, pytest.raises(LanguageModelError, match="holds 512"):
        model.reply(CHAT, Sampling(max_tokens=500))


def test_pictures_are_refused(qwen2: Path):
    from PIL import Image

    seen = [Message("user", "what is it?", (Image.new("RGB", (8, 8)),))]
    with (
        open_folder(qwen2, "fp32") as model,
        pytest.raises(LanguageModelError, match="no pictures"),
    ):
        model.reply(seen, GREEDY)


def test_only_folders_with_config_and_safetensors_are_models(qwen2: Path, tmp_path: Path):
    assert is_model_folder(qwen2)
    assert not is_model_folder(tmp_path)
