"""`python -m fvg_core.tiny train|score|save|sheet|agree|clips`: make the tiny world's weights, look
at what they make, hold the scorer to a person's eye, and write clips to train on."""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

from ..errors import FVGError

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    import torch
    import torch.distributed as dist

    from .clips import write_clips
    from .labels import agreement
    from .train.pipeline import STAGES, Pipeline

    parser = argparse.ArgumentParser(prog="python -m fvg_core.tiny", description=__doc__)
    parser.add_argument("--work", type=Path, default=ROOT / ".cache" / "tiny")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train, or go on with, the models")
    train.add_argument("--stage", nargs="+", choices=STAGES, default=STAGES)
    train.add_argument("--seconds", type=float, default=math.inf, help="stop each stage after")
    train.add_argument("--shards", type=int, help="of clips and stills, in place of the plan's")
    train.add_argument("--steps", type=int, help="of the transformers, in place of their plan")
    train.add_argument("--batch", type=int, help="of the transformers, in place of their plan")
    score = commands.add_parser("score", help="held-out scores of a model so far, as JSON")
    score.add_argument("--of", choices=("vae", "image", "video"), default="video")
    score.add_argument("--count", type=int, default=8, help="scenes of each category")
    score.add_argument("--sampling-steps", type=int, default=15)
    sheet = commands.add_parser("sheet", help="draw generated clips for a person to label")
    sheet.add_argument("folder", type=Path)
    sheet.add_argument("--count", type=int, default=50, help="clips")
    sheet.add_argument("--sampling-steps", type=int, default=15)
    agree = commands.add_parser("agree", help="how often scorer and labels agree")
    agree.add_argument("folder", type=Path)
    save = commands.add_parser("save", help="write the files that ComfyUI loads")
    save.add_argument("weights", type=Path, help="fvg_core/tiny/weights for the pack's own")
    clips = commands.add_parser("clips", help="write captioned video files, to train on")
    clips.add_argument("folder", type=Path)
    clips.add_argument("--count", type=int, default=500)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if dist.is_torchelastic_launched():
        dist.init_process_group("gloo")
    own = ("seconds", "shards", "steps", "batch")
    plan = {name: getattr(given, name) for name in own if hasattr(given, name)}
    pipeline = Pipeline(given.work, torch.device(given.device), **plan)
    try:
        if given.command == "train":
            for stage in given.stage:
                pipeline.train(stage)
        elif given.command == "score":
            found = pipeline.score(given.of, given.count, given.sampling_steps)
            print(json.dumps(found, indent=2))
        elif given.command == "sheet":
            print(*pipeline.sheets(given.folder, given.count, given.sampling_steps), sep="\n")
        elif given.command == "agree":
            print(agreement(given.folder))
        elif given.command == "clips":
            write_clips(given.folder, given.count)
        else:
            pipeline.save(given.weights)
    except FVGError as error:
        sys.exit(f"{type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
