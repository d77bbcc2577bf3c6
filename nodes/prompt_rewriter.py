"""First-Frame Prompt Rewriter (paper, section 4.2: y -> y0)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import partial

from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..fvg_core.llm import DTYPES
from ..fvg_core.prompts import (
    MODEL_BACKENDS,
    NO_STYLE,
    RULES,
    VIDEO_PROMPTS,
    Edits,
    Options,
    Rewrite,
    Rewriting,
    edit_key,
    rewrite_many,
)
from ..fvg_core.prompts.many import MOST_ATTEMPTS, MOST_VARIATIONS, MOST_WORDS
from . import host

_EXAMPLE = "a red ball moves right and a blue square stays still on a gray background"
_NO_FOLDER = "none"
_D = Options()


def _main_inputs() -> list:
    return [
        io.String.Input(
            "prompt",
            multiline=True,
            default=_EXAMPLE,
            tooltip="The video prompt, in plain words: what is there and what happens.",
        ),
        io.Combo.Input(
            "backend",
            options=[RULES, *MODEL_BACKENDS],
            default=RULES,
            tooltip="Who rewrites. rules: grammar and word lists, no model, at once. clip: the "
            "language model at the input 'clip'. transformers: a folder in models/LLM. server: the "
            "chat server that this machine's owner has set up.",
        ),
        host.seed_input(
            "Another seed may word the first frame differently. 0 is the plainest of the rules.",
            after=io.ControlAfterGenerate.fixed,
        ),
    ]


def _model_inputs() -> list:
    return [
        io.Clip.Input(
            "clip",
            optional=True,
            tooltip="With backend 'clip': a language model of the Qwen3, Qwen3-VL or Gemma family "
            "from a CLIP loader.",
        ),
        io.Combo.Input(
            "language_model",
            options=[_NO_FOLDER, *host.language_model_folders()],
            default=_NO_FOLDER,
            optional=True,
            tooltip="With backend 'transformers': a folder in models/LLM. The paper used "
            "Qwen2.5-7B-Instruct.",
        ),
        io.Combo.Input(
            "precision",
            options=list(DTYPES),
            default=DTYPES[0],
            optional=True,
            advanced=True,
            tooltip="With 'transformers': bf16 as published, fp32 for a CPU, 4bit for a quarter "
            "of the memory (needs the package bitsandbytes).",
        ),
    ]


def _text_inputs() -> list:
    return [
        io.Combo.Input(
            "video_prompt",
            options=list(VIDEO_PROMPTS),
            default=_D.video_prompt,
            optional=True,
            tooltip="The second output. original: your prompt, as in the paper (Eq. 4). upsampled: "
            "longer and richer, the paper's baseline. motion only: what moves, and how. The last "
            "two need a language model.",
        ),
        io.Combo.Input(
            "style",
            options=host.rewriter_instructions().styles,
            default=NO_STYLE,
            optional=True,
            tooltip="How the first frame should look. none: as the prompt says.",
        ),
        io.String.Input(
            "language",
            default=_D.language,
            optional=True,
            advanced=True,
            tooltip="Language of the texts that a language model writes. English, because image "
            "and video models know it best. The prompt may be in any language.",
        ),
        _whole(
            "min_words",
            _D.min_words,
            MOST_WORDS,
            "Shortest first-frame prompt of a language model.",
        ),
        _whole(
            "max_words",
            _D.max_words,
            MOST_WORDS,
            "Longest first-frame prompt of a language model. 120 words fit the text encoders of "
            "current image models.",
        ),
        _whole(
            "attempts",
            _D.attempts,
            MOST_ATTEMPTS,
            "How often a language model may try until every check passes. It is told what failed.",
        ),
        io.Boolean.Input(
            "rules_as_fallback",
            default=_D.rules_as_fallback,
            optional=True,
            tooltip="Let the rules write the first-frame prompt where the language model cannot "
            "be used or no reply passes every check. Off: the best reply, or an error.",
        ),
        _whole(
            "variations",
            _D.variations,
            MOST_VARIATIONS,
            "Versions of each prompt, as a list: the same things seen differently.",
            advanced=False,
        ),
    ]


def _hand_inputs() -> list:
    return [
        io.Boolean.Input(
            "stop_here",
            default=False,
            optional=True,
            tooltip="End the workflow here without an error, so that you can read and edit the "
            "rewrite first. Switch it off and run again to go on.",
        ),
        io.String.Input(
            "edited",
            default="",
            optional=True,
            socketless=True,
            extra_dict={"hidden": True},
            tooltip="Your edits, as the node's page keeps them: each belongs to one rewrite.",
        ),
    ]


def _whole(name: str, default: int, most: int, tooltip: str, *, advanced: bool = True):
    return io.Int.Input(
        name,
        default=default,
        min=1,
        max=most,
        optional=True,
        advanced=advanced,
        tooltip=tooltip,
    )


class FirstFramePromptRewriter(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGFirstFramePromptRewriter",
            display_name="First-Frame Prompt Rewriter",
            category="FVG",
            description="Turns a video prompt into a description of its first frame: everything "
            "that is there at the start, nothing that happens later.",
            search_aliases=["anchor prompt", "prompt rewrite", "factorized video", "LLM"],
            has_intermediate_output=True,
            is_input_list=True,
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            inputs=[*_main_inputs(), *_model_inputs(), *_text_inputs(), *_hand_inputs()],
            outputs=[
                io.String.Output(
                    display_name="first_frame_prompt",
                    is_output_list=True,
                    tooltip="For the Anchor Image Generator.",
                ),
                io.String.Output(
                    display_name="video_prompt",
                    is_output_list=True,
                    tooltip="For the video model: the original prompt, as in the paper (Eq. 4), "
                    "unless you choose otherwise.",
                ),
                io.String.Output(
                    display_name="report",
                    is_output_list=True,
                    tooltip="JSON: the entities found, which checks passed, questions about the "
                    "picture, who wrote it.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, backend=(RULES,), language_model=("",), **more) -> str:
        """Another wording of an instruction file makes another text, and so does another model;
        and where the rules stood in for one, it is tried again."""
        told = [
            host.rewriter_instructions().everything(),
            host.model_stamp(backend[0], language_model[0]),
            host.settled_stamp(str(cls.hidden.unique_id)),
        ]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()

    @classmethod
    def execute(cls, prompt: list, backend: list, seed: list, **widgets: list) -> io.NodeOutput:
        one = {name: values[0] for name, values in widgets.items() if values}
        # As the host does it: the last seed of a shorter list counts for the rest.
        seeds = [seed[min(i, len(seed) - 1)] for i in range(len(prompt))]
        made = rewrite_many(prompt, seeds, _rewriting(backend[0], one))
        written = [r for each in made for r in each]
        as_asked = [_is_as_asked(r, backend[0], one) for r in written]
        host.note_settled(str(cls.hidden.unique_id), all(as_asked))
        if backend[0] != RULES:  # a model may answer otherwise another time
            texts = [[r.first_frame_prompt, r.video_prompt] for r in written]
            host.note_made(cls.hidden, json.dumps(texts))
        edits = Edits(one.get("edited", ""))
        pairs = [
            (text, rewrite) for text, each in zip(prompt, made, strict=True) for rewrite in each
        ]
        done = [(text, rewrite, edits.applied(text, rewrite)) for text, rewrite in pairs]
        finals = [final for _, _, final in done]
        shown = {
            "text": [final.first_frame_prompt for final in finals],
            "fvg_rewrites": [_shown(*each) for each in done],
        }
        if one.get("stop_here", False):
            # Only this form of blocking ends a run silently and keeps what is shown.
            return io.NodeOutput(*[ExecutionBlocker(None)] * 3, ui=shown)
        return io.NodeOutput(
            [final.first_frame_prompt for final in finals],
            [final.video_prompt for final in finals],
            [json.dumps(final.report, indent=2, ensure_ascii=False) for final in finals],
            ui=shown,
        )


def _is_as_asked(made: Rewrite, backend: str, one: dict) -> bool:
    """Whether neither the rules nor the original prompt stand in for what a model was to write."""
    wanted = one.get("video_prompt", _D.video_prompt)
    by_model = wanted == VIDEO_PROMPTS[0] or bool(made.report["video_checks"])
    return made.report["written_by"] == backend and by_model


def _rewriting(backend: str, one: dict) -> Rewriting:
    options = {name: one[name] for name in vars(_D) if name in one}
    folder = one.get("language_model", _NO_FOLDER)
    folder = "" if folder == _NO_FOLDER else folder
    dtype = one.get("precision", DTYPES[0])
    opened = partial(host.open_model, backend, clip=one.get("clip"), folder=folder, dtype=dtype)
    return Rewriting(
        backend=backend,
        open_model=None if backend == RULES else opened,
        options=Options(**options),
        instructions=host.rewriter_instructions(),
        folder=host.rewrites_folder(),
        watch=host.rewriting_watch(),
        key=host.model_key(backend, folder, dtype),
    )


def _shown(prompt: str, rewrite: Rewrite, final: Rewrite) -> dict:
    """What the node's page shows of one rewrite."""
    return {
        "key": edit_key(prompt, rewrite),
        "prompt": prompt,
        "rewritten": rewrite.first_frame_prompt,
        "text": final.first_frame_prompt,
        "checks": _checks(final.report["checks"])
        + _checks(final.report["video_checks"], "video: "),
        "note": final.report["note"],
        "written_by": _writer(final.report),
    }


def _checks(checks: Sequence[dict], prefix: str = "") -> list[dict]:
    return [{**check, "name": prefix + check["name"]} for check in checks]


def _writer(report: dict) -> str:
    """The model's name, or "rules" or "hand" where its text is not used."""
    by_model = report["written_by"] == report["backend"]
    return (by_model and report["model"]) or report["written_by"]
