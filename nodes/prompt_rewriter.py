"""First-Frame Prompt Rewriter (paper, section 4.2: y -> y0)."""

from __future__ import annotations

import json

from comfy_api.latest import io

from ..fvg_core.prompts import BACKENDS, rewrite
from . import host

_EXAMPLE = "a red circle moves right and a blue square stays still on a gray background"


class FirstFramePromptRewriter(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGFirstFramePromptRewriter",
            display_name="First-Frame Prompt Rewriter",
            category="FVG",
            description="Turns a video prompt into a description of its first frame: everything "
            "that is there at the start, nothing that happens later.",
            search_aliases=["anchor prompt", "prompt rewrite", "factorized video"],
            inputs=[
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default=_EXAMPLE,
                    tooltip="The video prompt, in plain words: what is there and what happens.",
                ),
                io.Combo.Input(
                    "backend",
                    options=list(BACKENDS),
                    default="rules",
                    tooltip="Who rewrites. 'rules' needs no model and answers at once.",
                ),
                host.seed_input(
                    "Another seed may word the first frame differently. 0 is the plainest.",
                    after=io.ControlAfterGenerate.fixed,
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="first_frame_prompt", tooltip="For the Anchor Image Generator."
                ),
                io.String.Output(
                    display_name="video_prompt",
                    tooltip="For the video model: the original prompt, as in the paper (Eq. 4).",
                ),
                io.String.Output(
                    display_name="report",
                    tooltip="JSON: the entities found, what was taken out, which checks passed.",
                ),
            ],
        )

    @classmethod
    def execute(cls, prompt: str, backend: str, seed: int) -> io.NodeOutput:
        result = rewrite(prompt, backend, seed)
        return io.NodeOutput(
            result.first_frame_prompt,
            result.video_prompt,
            json.dumps(result.report, indent=2, ensure_ascii=False),
            ui={"text": [result.first_frame_prompt]},
        )
