"""Anchor Picker: one candidate goes on (paper, section 4.2: optional user control)."""

from __future__ import annotations

from comfy_api.latest import io, ui
from comfy_execution.graph_utils import ExecutionBlocker

from ..fvg_core.image import POLICIES, pick
from . import host


class AnchorPicker(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGAnchorPicker",
            display_name="Anchor Picker",
            category="FVG",
            description="Shows the candidates and passes one on. With 'stop' the workflow ends "
            "here without an error, so that you can look first.",
            search_aliases=["choose image", "select candidate"],
            has_intermediate_output=True,
            inputs=[
                io.Image.Input("images", tooltip="The candidates, as one batch."),
                io.Combo.Input(
                    "policy",
                    options=list(POLICIES),
                    default="stop",
                    tooltip="stop: end here and show the candidates. first: take number 0. "
                    "seeded: draw one by the seed below. explicit: take the index below.",
                ),
                io.Int.Input(
                    "index",
                    default=0,
                    min=0,
                    max=4095,
                    tooltip="With 'explicit': which candidate, counted from 0.",
                ),
                host.seed_input("With 'seeded': which draw.", after=io.ControlAfterGenerate.fixed),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The chosen anchor."),
                io.Int.Output(display_name="index", tooltip="Its number, counted from 0."),
            ],
        )

    @classmethod
    def execute(cls, images, policy: str, index: int, seed: int) -> io.NodeOutput:
        preview = ui.PreviewImage(images, cls=cls)
        chosen = pick(len(images), policy, index=index, seed=seed)
        if chosen is None:
            # Only this form of blocking ends a run silently and keeps the pictures.
            return io.NodeOutput(ExecutionBlocker(None), ExecutionBlocker(None), ui=preview)
        return io.NodeOutput(images[chosen : chosen + 1], chosen, ui=preview)
