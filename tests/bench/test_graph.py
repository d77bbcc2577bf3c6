"""Edits of graphs, on the template itself."""

import pytest

from dev.host import PACK
from fvg_core.bench.client import ComfyClient
from fvg_core.bench.graph import copy_branch, downstream, find, set_widgets, with_plain_t2v
from fvg_core.bench.workflow import load_workflow, to_prompt
from fvg_core.errors import HostError

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]

REWRITER, SAMPLER = "FVGFirstFramePromptRewriter", "FVGAnchoredWanSampler"


@pytest.fixture(scope="module")
def info(comfy):
    with ComfyClient(comfy.url) as client:
        return client.object_info()


@pytest.fixture
def template() -> dict:
    return load_workflow(PACK / "workflows" / "fvg_tiny.json")


def test_set_widgets_changes_only_what_is_named(template: dict, info: dict) -> None:
    changed = set_widgets(template, info, SAMPLER, seed=123, shift=2.5)
    before, after = to_prompt(template, info), to_prompt(changed, info)
    sampler = find(after, SAMPLER)
    expected = before[sampler]["inputs"] | {"seed": 123, "shift": 2.5}
    assert after[sampler]["inputs"] == expected
    assert {n: d for n, d in after.items() if n != sampler} == {
        n: d for n, d in before.items() if n != sampler
    }


def test_set_widgets_names_what_is_wrong(template: dict, info: dict) -> None:
    with pytest.raises(HostError, match=r"no widget 'sede'; it has prompt, backend, seed"):
        set_widgets(template, info, REWRITER, sede=1)
    with pytest.raises(HostError, match="2 nodes of type CLIPTextEncode; 1 is expected"):
        set_widgets(template, info, "CLIPTextEncode", text="x")


def test_branch_is_everything_below_and_nothing_else(template: dict, info: dict) -> None:
    prompt = to_prompt(template, info)
    sampler = find(prompt, SAMPLER)
    kinds = [prompt[number]["class_type"] for number in downstream(prompt, sampler)]
    assert kinds == [SAMPLER, "VAEDecode", "ImageScaleBy", "CreateVideo", "SaveVideo"]
    copied = copy_branch(prompt, sampler, "x:")
    assert set(copied) == {f"x:{number}" for number in downstream(prompt, sampler)}
    decode = copied[find(copied, "VAEDecode")]["inputs"]
    assert decode["samples"] == [f"x:{sampler}", 0]
    assert decode["vae"] == [find(prompt, "FVGTinyWorldLoader"), 3]


def test_plain_t2v_differs_in_the_anchor_alone(template: dict, info: dict) -> None:
    prompt = to_prompt(template, info)
    both = with_plain_t2v(prompt, "plain")
    assert {n: both[n] for n in prompt} == prompt
    plain = {n: d for n, d in both.items() if n not in prompt}
    own = prompt[find(prompt, SAMPLER)]["inputs"]
    theirs = plain[find(plain, SAMPLER)]["inputs"]
    assert {k for k in own if own[k] != theirs[k]} == {"model", "latent"}
    above = _upstream(both, find(plain, "SaveVideo"))
    kinds = {both[n]["class_type"] for n in above}
    assert not kinds & {"FVGAnchorLatentInjector", "LoraLoaderModelOnly", "FVGAnchorPicker"}


def _upstream(prompt: dict, start: str) -> set[str]:
    links = [v[0] for v in prompt[start]["inputs"].values() if isinstance(v, list)]
    return {start}.union(*(_upstream(prompt, link) for link in links))
