"""One prompt for the server with three videos in it, of the same words and the same seed."""

from __future__ import annotations

from ..bench.graph import Json, Prompt, copy_branch, find, upstream, with_plain_t2v

T2V, OWN, FVG = "t2v", "own frame", "fvg"
TITLES = {
    T2V: "Plain text-to-video",
    OWN: "Anchored on its own first frame",
    FVG: "FVG: anchored on a drawn first frame",
}
_INJECTOR, _SAVE, _DECODE = "FVGAnchorLatentInjector", "SaveVideo", "VAEDecode"


def three_ways(fvg: Prompt) -> tuple[Prompt, dict[str, str]]:
    """Plain text-to-video, the anchored model on that video's own first frame, and FVG.

    Returns the prompt and by way the node that keeps its frames without loss.
    """
    prompt = with_plain_t2v(fvg, "fvg/diagnose-t2v")
    decoded = {FVG: find(fvg, _DECODE)}
    decoded[T2V] = f"t2v:{decoded[FVG]}"
    own = copy_branch(fvg, find(fvg, _INJECTOR), "own:")
    decoded[OWN] = f"own:{decoded[FVG]}"
    own["own:first"] = _node("ImageFromBatch", image=[decoded[T2V], 0], batch_index=0, length=1)
    own[f"own:{find(fvg, _INJECTOR)}"]["inputs"]["image"] = ["own:first", 0]
    prompt |= own
    saves = {way: f"frames of {way}" for way in TITLES}
    for way, node in saves.items():
        prompt[node] = _node(
            "SaveAnimatedWEBP",
            images=[decoded[way], 0],
            filename_prefix="fvg/diagnose",
            fps=8.0,
            lossless=True,
            quality=100,
            method="fastest",
        )
    needed = set().union(*(upstream(prompt, node) for node in saves.values()))
    return {n: node for n, node in prompt.items() if n in needed}, saves


def _node(kind: str, **inputs: object) -> Json:
    return {"class_type": kind, "inputs": inputs, "_meta": {"title": kind}}
