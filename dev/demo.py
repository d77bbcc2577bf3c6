"""`make demo`: a prompt in; video, contact sheet and recipe out. PROMPT, SEED and OUT from the
environment."""

from __future__ import annotations

import io
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from dev.host import PACK, Install, prepare
from dev.recipe import describe_pack
from dev.server import ComfyServer
from dev.terminal import Progress
from fvg_core.bench.client import ComfyClient, Json, Result
from fvg_core.bench.graph import find, set_widgets, with_plain_t2v
from fvg_core.bench.sheet import Row, Sheet, draw_sheet
from fvg_core.bench.video import read_frames, spread
from fvg_core.bench.workflow import load_workflow, to_prompt
from fvg_core.errors import FVGError, HostError
from fvg_core.files import slug

TEMPLATE = PACK / "workflows" / "fvg_tiny.json"
REWRITER, GENERATOR, SCORER, PICKER, SAMPLER = (
    "FVGFirstFramePromptRewriter",
    "FVGAnchorImageGenerator",
    "FVGAnchorScorer",
    "FVGAnchorPicker",
    "FVGAnchoredWanSampler",
)
SHOWN_FRAMES = 8
CANDIDATES = 8


@dataclass(frozen=True)
class Request:
    """What the person asked for; `prompt` None takes the template's."""

    prompt: str | None
    seed: int
    out: Path | None

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Request:
        text = environ.get("SEED") or "7"
        if not text.isdecimal() or int(text) >= 2**64:
            raise HostError(f"SEED={text} is not a seed; give a whole number from 0 to 2^64 - 1.")
        out = environ.get("OUT")
        return cls(
            environ.get("PROMPT") or None,
            int(text),
            Path(out).expanduser().resolve() if out else None,
        )


def build(request: Request, info: dict[str, Json]) -> tuple[Json, dict[str, Json]]:
    """The template with the request in it, and the prompt to run: FVG and plain T2V."""
    workflow = load_workflow(TEMPLATE)
    if request.prompt:
        workflow = set_widgets(workflow, info, REWRITER, prompt=request.prompt)
    for kind in (GENERATOR, SAMPLER):
        workflow = set_widgets(workflow, info, kind, seed=request.seed)
    # Nobody clicks: the scorer chooses, and among more than a person would want to look at.
    workflow = set_widgets(workflow, info, PICKER, policy="best score")
    workflow = set_widgets(workflow, info, GENERATOR, candidates=CANDIDATES)
    fvg = to_prompt(workflow, info)
    prompt = with_plain_t2v(fvg, "fvg/plain")
    for node in set(prompt) - set(fvg):
        meta = prompt[node].setdefault("_meta", {"title": prompt[node]["class_type"]})
        meta["title"] = f"Plain T2V: {meta['title']}"
    for name, kind, slot in (("index", PICKER, 1), ("seeds", GENERATOR, 1), ("scores", SCORER, 0)):
        prompt[name] = {"class_type": "PreviewAny", "inputs": {"source": [find(fvg, kind), slot]}}
    return workflow, prompt


@dataclass(frozen=True)
class Made:
    """What came back from the server. note: why no candidate was scored, else ''."""

    first_frame_prompt: str
    candidates: list[Image.Image]
    seeds: list[str]
    chosen: int
    note: str
    video: bytes
    plain: bytes

    @classmethod
    def fetch(cls, client: ComfyClient, prompt: dict[str, Json], result: Result) -> Made:
        drawn = result.files(find(prompt, GENERATOR))
        saved = [n for n, node in prompt.items() if node["class_type"] == "SaveVideo"]
        own, plain = (client.fetch(result.files(node)[0]) for node in sorted(saved, key=len))
        return cls(
            result.outputs[find(prompt, REWRITER)]["text"][0],
            [Image.open(io.BytesIO(client.fetch(file))) for file in drawn],
            result.outputs["seeds"]["text"][0].split(", "),
            int(result.outputs["index"]["text"][0]),
            json.loads(result.outputs["scores"]["text"][0]).get("note", ""),
            own,
            plain,
        )


def contact_sheet(made: Made, prompt: dict[str, Json], folder: Path) -> Image.Image:
    """The sheet of the videos saved in `folder`."""
    sampling = prompt[find_sampler(prompt)]["inputs"]
    size = made.candidates[0].size
    rows = [
        Row(
            "1  Anchor candidates",
            "drawn by the image model from the first-frame prompt",
            made.candidates,
            [f"seed {s}" + (" · chosen" if i == made.chosen else "")
             for i, s in enumerate(made.seeds)],
            frozenset({made.chosen}),
        )
    ]  # fmt: skip
    for title, note, name, marked in (
        ("2  FVG", "the video model animates the chosen frame", "fvg.mp4", {0}),
        ("    Plain text-to-video", "same model, prompt and seed, no anchor", "plain.mp4", set()),
    ):
        frames = read_frames(folder / name)
        shown = spread(SHOWN_FRAMES, len(frames))
        pictures = [frames[i] for i in shown]
        captions = [f"frame {i}" for i in shown]
        rows.append(Row(title, note, pictures, captions, frozenset(marked)))
    details = (
        f"tiny world · seed {sampling['seed']} · {sampling['steps']} steps · "
        f"{size[0]}×{size[1]} · {len(frames)} frames"
    )
    asked = prompt[find(prompt, REWRITER)]["inputs"]["prompt"]
    texts = [("Prompt", asked), ("First frame", made.first_frame_prompt)]
    return draw_sheet(Sheet("Factorized Video Generation", details, texts, rows))


def find_sampler(prompt: dict[str, Json]) -> str:
    """The sampler of the FVG half."""
    return find({n: node for n, node in prompt.items() if not n.startswith("t2v:")}, SAMPLER)


def default_out(prompt: str, seed: int) -> Path:
    return PACK / "out" / f"demo-{slug(prompt)}-{seed}"


def keep(out: Path, made: Made, prompt: dict[str, Json], recipe: Json) -> list[Path]:
    """Put the results into `out`: each appears whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".making-") as name:
        folder = Path(name)
        (folder / "fvg.mp4").write_bytes(made.video)
        (folder / "plain.mp4").write_bytes(made.plain)
        contact_sheet(made, prompt, folder).save(folder / "sheet.png")
        text = json.dumps(recipe, indent=2, ensure_ascii=False) + "\n"
        (folder / "recipe.json").write_text(text, encoding="utf-8")
        names = ("fvg.mp4", "plain.mp4", "sheet.png", "recipe.json")
        return [(folder / name).replace(out / name) for name in names]


def run(request: Request, install: Install, base: Path) -> list[Path]:
    """Start the host, run the request, keep the results; their paths."""
    started = time.monotonic()
    print(f"Starting ComfyUI {install.version_text()}", file=sys.stderr, flush=True)
    with (
        ComfyServer(install, base, only_pack=True) as server,
        ComfyClient(server.url) as client,
    ):
        workflow, prompt = build(request, client.object_info())
        ready = time.monotonic()
        asked = prompt[find(prompt, REWRITER)]["inputs"]["prompt"]
        print(f"Prompt: {asked}", file=sys.stderr, flush=True)
        progress = Progress(prompt)
        try:
            result = client.run(prompt, workflow, progress)
        finally:
            progress.close()
        made = Made.fetch(client, prompt, result)
        if made.note:
            print(f"The first candidate was taken. {made.note}", file=sys.stderr)
        recipe = {
            "prompt": asked,
            "first_frame_prompt": made.first_frame_prompt,
            "seed": request.seed,
            "candidate_seeds": made.seeds,
            "chosen": made.chosen,
            "note": made.note,
            "seconds": {"start": round(ready - started, 2), "run": round(result.seconds, 2)},
            "host": client.system_stats()["system"] | {"argv": None},
            "pack": describe_pack(),
            "api_prompt": prompt,
        }
        return keep(request.out or default_out(asked, request.seed), made, prompt, recipe)


def main() -> int:
    try:
        request = Request.from_environment(os.environ)
        install = prepare()
        with tempfile.TemporaryDirectory(prefix="fvg-demo-") as base:
            paths = run(request, install, Path(base))
    except FVGError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; nothing was written", file=sys.stderr)
        return 130
    print("\n".join(str(path) for path in paths))
    return 0


if __name__ == "__main__":
    sys.exit(main())
