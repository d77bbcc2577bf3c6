"""The cost of a sampling step: our sampler against the host's, on the same MODEL and latent."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.figures import added, ratios, summarise
from dev.host import Install
from dev.server import ComfyServer
from fvg_core.bench.client import ComfyClient, Event
from fvg_core.errors import HostError

PACKS = Path(__file__).parent / "packs"
PROMPT = "a red ball moves right and a blue square stays still on a gray background"
# `stock`: KSampler. Ours: `plain` and `anchored` without preview, `shown` anchored with it.
VARIANTS = ("stock", "stock again", "plain", "anchored", "shown")


@dataclass(frozen=True)
class Case:
    """One model and one video size. `dim` 0 takes the tiny world's own video model."""

    name: str
    size: int
    length: int
    steps: int
    rounds: int
    dim: int = 0
    heads: int = 0
    layers: int = 0
    cfg: float = 5.0

    def graph(self) -> dict[str, Any]:
        """The API graph that measures this case and writes `<name>.json`."""
        size = {"width": self.size, "height": self.size, "length": self.length, "batch_size": 1}
        random = {"dim": self.dim, "heads": self.heads, "layers": self.layers}
        wan = _node("FVGBenchWan", conditioning=["positive", 0], **random)
        model = ["wan", 0] if self.dim else ["world", 0]
        return ({"wan": wan} if self.dim else {}) | {
            "world": _node("FVGTinyWorldLoader"),
            "positive": _node("CLIPTextEncode", clip=["world", 2], text=PROMPT),
            "negative": _node("CLIPTextEncode", clip=["world", 2], text=""),
            "picture": _node("EmptyImage", width=64, height=64, batch_size=1, color=0x20A040),
            "inject": _node(
                "FVGAnchorLatentInjector",
                model=model,
                vae=["world", 3],
                image=["picture", 0],
                frame="first",
                pixel_frame=0,
                fit="crop",
                anchor_noise=0.0,
                **size,
            ),
            "empty": _node("EmptyHunyuanLatentVideo", **size),
            "time": _node(
                "FVGBenchSteps",
                model=model,
                anchored_model=["inject", 0],
                positive=["positive", 0],
                negative=["negative", 0],
                latent=["empty", 0],
                anchored_latent=["inject", 1],
                steps=self.steps,
                rounds=self.rounds,
                cfg=self.cfg,
                name=self.name,
            ),
        }


def _node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


CASES = (
    Case("tiny", size=64, length=17, steps=15, rounds=16),
    Case("larger", size=128, length=17, steps=6, rounds=6, dim=768, heads=6, layers=4),
)


def measure(install: Install, base: Path, share: float = 1.0) -> dict[str, Any]:
    """Figures of every case; `share` of the usual rounds."""
    results = {}
    with (
        ComfyServer(install, base, only_pack=True, custom_nodes=[PACKS]) as server,
        ComfyClient(server.url) as client,
    ):
        for usual in CASES:
            case = replace(usual, rounds=max(2, round(usual.rounds * share)))
            _run(client, case)
            record = json.loads((server.output / f"{case.name}.json").read_text(encoding="utf-8"))
            results[case.name] = {"case": asdict(case), **evaluate(record)}
    return results


def _run(client: ComfyClient, case: Case) -> None:
    runs = len(VARIANTS) * (case.rounds + 1)
    with tqdm(total=runs, desc=f"  steps, {case.name} model", unit="run", disable=None) as bar:

        def on_event(event: Event) -> None:
            if event.kind == "progress" and event.value == event.maximum and bar.n < runs:
                bar.update()

        client.run(case.graph(), on_event=on_event)
        bar.update(runs - bar.n)


def evaluate(record: dict[str, Any]) -> dict[str, Any]:
    """Figures from what FVGBenchSteps wrote. Raises HostError if the work was not the same."""
    runs = record["runs"]
    work = {step["evaluations"] for name in VARIANTS for run in runs[name] for step in run}
    if len(work) != 1:
        raise HostError(f"The variants evaluate the model {sorted(work)} times a step.")
    # On a CPU the sampling thread's own time, which other programs do not lengthen.
    clock = "_cpu" if record["device"] == "cpu" else ""
    step, own_step, model = (
        {name: [_middle(run, key) for run in runs[name]] for name in VARIANTS}
        for key in ("step", f"step{clock}", f"model{clock}")
    )
    # What is not the model's forward: solver, guidance, wrappers, progress, preview.
    around = {
        name: [_middle(run, f"step{clock}", f"model{clock}") for run in runs[name]]
        for name in VARIANTS
    }
    each, shared = ([call[f"model{clock}"] for call in runs[name]] for name in ("each", "shared"))
    modulation = ratios(each, shared)
    figures = {
        "noise": ratios(step["stock again"], step["stock"]),
        "plain": ratios(step["plain"], step["stock"]),
        "plain_around": added(around["plain"], around["stock"], own_step["stock"]),
        "anchored": ratios(step["anchored"], step["plain"]),
        "modulation": modulation,
        "modulation_in_place": ratios(model["anchored"], model["plain"]),
        "anchored_around": added(around["anchored"], around["stock"], own_step["stock"]),
        "shown": ratios(step["shown"], step["anchored"]),
        "shown_around": added(around["shown"], around["anchored"], own_step["anchored"]),
        "everything": ratios(step["shown"], [s * modulation.median for s in step["stock"]]),
    }
    milliseconds = {
        f"{part} {name}": summarise([1000 * value for value in values[name]])
        for part, values in (("step", step), ("around", around))
        for name in ("stock", "plain", "anchored", "shown")
    }
    return {
        **{key: value for key, value in record.items() if key != "runs"},
        "evaluations_per_step": work.pop(),
        "ratios": {name: asdict(figure) for name, figure in figures.items()},
        "milliseconds": {name: asdict(figure) for name, figure in milliseconds.items()},
    }


def _middle(run: list[dict[str, float]], whole: str, *without: str) -> float:
    """The median over a run's steps of one share, or of what is left of it without others."""
    return statistics.median(step[whole] - sum(step[part] for part in without) for step in run)
