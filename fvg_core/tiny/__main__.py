"""`python -m fvg_core.tiny train [--stage STAGE ...]`: make the tiny world's weights.
`python -m fvg_core.tiny clips FOLDER [--count N]`: write its clips as video files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main() -> None:
    import torch

    from .clips import write_clips
    from .train.pipeline import STAGES, Pipeline

    parser = argparse.ArgumentParser(prog="python -m fvg_core.tiny", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train, or go on with, the tiny world's models")
    train.add_argument("--stage", nargs="+", choices=STAGES, default=STAGES)
    train.add_argument("--work", type=Path, default=HERE.parents[1] / ".cache" / "tiny")
    train.add_argument("--weights", type=Path, default=HERE / "weights")
    train.add_argument("--threads", type=int, default=torch.get_num_threads())
    clips = commands.add_parser("clips", help="write captioned video files, to train on")
    clips.add_argument("folder", type=Path)
    clips.add_argument("--count", type=int, default=500)
    args = parser.parse_args()
    if args.command == "clips":
        write_clips(args.folder, args.count)
        return
    torch.set_num_threads(args.threads)
    pipeline = Pipeline(args.work, args.weights)
    for stage in args.stage:
        pipeline.run(stage)


if __name__ == "__main__":
    main()
