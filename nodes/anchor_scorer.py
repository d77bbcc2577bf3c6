"""Anchor Scorer: which candidates show what the prompt asks for?"""

from __future__ import annotations

from comfy_api.latest import io

from . import host


class AnchorScorer(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGAnchorScorer",
            display_name="Anchor Scorer",
            category="FVG",
            description="Answers the rewriter's questions about each candidate with yes or no. "
            "The Anchor Picker shows the scores, and can take the best.",
            search_aliases=["best of n", "rate images", "vision language model"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Image.Input("images", tooltip="The candidates, as one batch."),
                io.String.Input(
                    "report",
                    force_input=True,
                    tooltip="From the First-Frame Prompt Rewriter: what must be in the picture.",
                ),
                io.Combo.Input(
                    "backend",
                    options=list(host.SCORERS),
                    default="tiny world",
                    tooltip="Who looks. tiny world: for the coloured shapes of the tiny world, "
                    "without a model; no scores for other prompts. clip: the vision-language model "
                    "at the input 'clip'. server: the chat server that this machine's owner has "
                    "set up; its model must see pictures.",
                ),
                io.Clip.Input(
                    "clip",
                    optional=True,
                    lazy=True,
                    tooltip="With backend 'clip': Qwen3-VL, or Gemma 3 4B with its vision weights, "
                    "from Load CLIP.",
                ),
            ],
            outputs=[
                io.String.Output(
                    display_name="scores",
                    tooltip="For the Anchor Picker. JSON: for each candidate a score from 0 to 1 "
                    "and the answers; of a prompt that the tiny world does not know, a note.",
                )
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, backend: str = "", **more) -> str:
        return host.model_stamp(backend)

    @classmethod
    def check_lazy_status(cls, backend: str, **inputs) -> list[str]:
        return ["clip"] if backend == "clip" and inputs.get("clip", ...) is None else []

    @classmethod
    def execute(cls, images, report: str, backend: str, clip=None) -> io.NodeOutput:
        scores, notice = host.score(images, report, backend, clip)
        host.warn_on(cls.hidden.unique_id, notice)
        return io.NodeOutput(scores)
