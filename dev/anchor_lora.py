"""`python -m dev anchor-lora`: the tiny world's anchor LoRA, made by the pack's own LoRA Trainer.

Writes clips of the tiny world as mp4 files, runs the training template on them in a real ComfyUI,
and puts the LoRA among the pack's weights. Interrupted at any point it goes on where it stopped.
COUNT=2500 clips and STEPS=1000 from the environment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from dev.host import PACK, prepare
from dev.server import ComfyServer
from dev.terminal import Progress
from fvg_core.bench.client import ComfyClient
from fvg_core.bench.graph import set_widgets
from fvg_core.bench.workflow import load_workflow, to_prompt
from fvg_core.errors import FVGError
from fvg_core.files import weights_key
from fvg_core.lora.files import read_lora, save_lora
from fvg_core.tiny.clips import write_clips

TEMPLATE = PACK / "workflows" / "fvg_train_anchor_lora.json"
BASE = PACK / ".cache" / "anchor-lora"
VIDEO = PACK / "fvg_core" / "tiny" / "weights" / "fvg_tiny_video.safetensors"
RESULT = VIDEO.parent / "loras" / "fvg_tiny_anchor_lora.safetensors"
TRAINER, DATASET = "FVGLoraTrainer", "FVGVideoDataset"
SETTINGS = {
    "batch": 32,
    "micro_batch": 32,
    "rank": 16,
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "warmup": 100,
    "time_density": "shifted",
    "time_shift": 2.0,
    "checkpoint_every": 50,
    "validate_every": 250,
    "validation_clips": 32,
}


def run(count: int, steps: int) -> Path:
    """Train, or go on with it. Returns the weights' path."""
    name = f"tiny-{count}"
    lora = f"{name}-{steps}-{weights_key([VIDEO])}"
    print(f"Writing {count} clips", file=sys.stderr, flush=True)
    write_clips(BASE / "input" / name, count)  # the same bytes each time, unless the world changed
    with (
        ComfyServer(prepare(), BASE, only_pack=True, own_loras=True) as server,
        ComfyClient(server.url) as client,
    ):
        info = client.object_info()
        workflow = set_widgets(load_workflow(TEMPLATE), info, DATASET, folder=name)
        workflow = set_widgets(workflow, info, TRAINER, lora_name=lora, steps=steps, **SETTINGS)
        prompt = to_prompt(workflow, info)
        progress = Progress(prompt)
        try:
            result = client.run(prompt, workflow, progress)
        finally:
            progress.close()
    reports = [text for out in result.outputs.values() for text in out.get("text", [])]
    print("\n\n".join(reports), file=sys.stderr)
    trained = read_lora(BASE / "loras" / f"{lora}.safetensors")
    recipe = {"recipe": {**SETTINGS, "steps": steps, "clips": count}}
    metadata = {**trained.metadata, **recipe}
    save_lora(RESULT, trained.tensors, alpha=trained.alpha, metadata=metadata, dtype=torch.float16)
    return RESULT


def main() -> int:
    try:
        print(run(int(os.environ.get("COUNT") or 2500), int(os.environ.get("STEPS") or 1000)))
    except FVGError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
