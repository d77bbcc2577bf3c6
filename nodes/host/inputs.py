"""Inputs that several nodes have."""

from __future__ import annotations

import comfy.samplers
from comfy_api.latest import io

Dataset = io.Custom("FVG_DATASET")  # a CachedDataset


def seed_input(tooltip: str, *, after: io.ControlAfterGenerate) -> io.Int.Input:
    """A 64-bit seed; `after`: what happens to it once a run is queued."""
    return io.Int.Input(
        "seed", default=0, min=0, max=2**64 - 1, control_after_generate=after, tooltip=tooltip
    )


def solver_inputs(sampler: str, why: str, makes: str) -> list[io.Combo.Input]:
    """Sampler (default `sampler`, with the reason for it) and scheduler of a node."""
    return [
        io.Combo.Input(
            "sampler_name",
            options=comfy.samplers.SAMPLER_NAMES,
            default=sampler,
            tooltip=f"Solver. {why}",
        ),
        io.Combo.Input(
            "scheduler",
            options=comfy.samplers.SCHEDULER_NAMES,
            default="simple",
            tooltip=f"How the steps are spread from noise to {makes}.",
        ),
    ]
