"""Anchor Picker: the candidates that go on (paper, section 4.2: optional user control)."""

from __future__ import annotations

import json

import torch
from comfy_api.latest import io
from comfy_execution.graph_utils import ExecutionBlocker

from ..fvg_core.errors import AnchorError
from ..fvg_core.image import POLICIES, checked, pick, read_choices, read_scores, write_choices
from . import host


class AnchorPicker(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="FVGAnchorPicker",
            display_name="Anchor Picker",
            category="FVG",
            description="Shows the candidates and passes on the one you click. Until then the "
            "workflow ends here, without an error and without holding up other runs.",
            search_aliases=["choose image", "select candidate", "image picker"],
            is_output_node=True,  # candidates alone are worth a run
            has_intermediate_output=True,
            is_input_list=True,  # lists of batches stand in one grid
            hidden=[io.Hidden.unique_id, io.Hidden.dynprompt],
            inputs=[*_inputs(), *_optional_inputs()],
            outputs=[
                io.Image.Output(
                    display_name="image",
                    is_output_list=True,
                    tooltip="The chosen anchor. Several come as a list: one video for each.",
                ),
                io.Int.Output(
                    display_name="index",
                    is_output_list=True,
                    tooltip="Its number, counted from 0. Several come as a list.",
                ),
                io.String.Output(
                    display_name="indices", tooltip="The numbers of all chosen, for example '0, 3'."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, policy, choice=("",), **_inputs):
        """A choice made elsewhere counts, and pictures that are gone; otherwise the host may keep
        what it has."""
        node_id = str(cls.hidden.unique_id)
        made = {**host.remembered(node_id), **read_choices(str(choice[0]))}
        return [host.views_stamp(node_id), sorted(made.items()) if policy == ["stop"] else ""]

    @classmethod
    def execute(
        cls, images, policy, index, seed, choice=("",), report=("",), scores=("",)
    ) -> io.NodeOutput:
        graph, node_id = host.graph_of(cls.hidden), str(cls.hidden.unique_id)
        images = _together(images)
        key = host.upstream_key(graph, node_id, of="images")[:16]
        scored_by = [read_scores(text) for text in scores if text]
        questions, scored = _scored(scored_by, len(images))
        picked = pick(
            len(images),
            policy[0],
            index=index[0],
            seed=seed[0],
            scores=[candidate["score"] for candidate in scored] if scored_by else None,
        )
        if policy[0] == "stop":
            picked = _chosen(node_id, key, choice[0], len(images))
        views = host.save_views(node_id, images, key, keep=policy[0] == "stop")
        state = {
            "node": node_id,
            "key": key,
            "count": len(images),
            "policy": policy[0],
            "waiting": picked is None,
            "chosen": list(picked or ()),
            "choice": write_choices({key: picked}) if picked else "",
            **views,
            "checklist": questions or _questions(report),
            "scores": scored,
            "seeds": host.upstream_seeds(graph, node_id, of="images"),
        }
        place = {name: views[name] for name in ("subfolder", "type")}
        files = [{"filename": name, **place} for name in views["full"]]
        ui = {"fvg_picker": [state], "images": files}
        if picked is None:
            # Only this form of blocking ends a run silently and keeps the pictures.
            return io.NodeOutput(*[ExecutionBlocker(None)] * 3, ui=ui)
        # A list, not a batch: stock nodes write the frames of a batch of videos into one file.
        chosen = [images[i : i + 1] for i in picked]
        return io.NodeOutput(chosen, list(picked), ", ".join(map(str, picked)), ui=ui)


def _inputs() -> list:
    return [
        io.Image.Input("images", tooltip="The candidates, as one batch."),
        io.Combo.Input(
            "policy",
            options=list(POLICIES),
            default="stop",
            tooltip="stop: end here until you click a candidate. Without a person: first: take "
            "number 0. seeded: draw one by the seed below. explicit: take the index below. best "
            "score: take what the Anchor Scorer likes most, or number 0 where it has no scores.",
        ),
        io.Int.Input(
            "index",
            default=0,
            min=0,
            max=4095,
            tooltip="With 'explicit': which candidate, counted from 0.",
        ),
        host.seed_input("With 'seeded': which draw.", after=io.ControlAfterGenerate.fixed),
    ]


def _optional_inputs() -> list:
    return [
        io.String.Input(
            "choice",
            default="",
            optional=True,
            advanced=True,
            tooltip="Written by a click on a candidate: which candidates, by the key of the set "
            "they belong to. For other candidates it does not count.",
        ),
        io.String.Input(
            "report",
            optional=True,
            force_input=True,
            tooltip="From the First-Frame Prompt Rewriter: its checklist is shown beside the "
            "candidates.",
        ),
        io.String.Input(
            "scores",
            optional=True,
            force_input=True,
            tooltip="From the Anchor Scorer: shown with the candidates, and for 'best score'.",
        ),
    ]


def _together(batches: list[torch.Tensor]) -> torch.Tensor:
    """All candidates as one batch. Raises AnchorError for pictures of several sizes."""
    sizes = sorted({f"{batch.shape[2]} x {batch.shape[1]}" for batch in batches})
    if len(sizes) > 1:
        raise AnchorError(
            f"the candidates have several sizes ({', '.join(sizes)}); bring them to one size first."
        )
    plain = [batch[..., :3] for batch in batches]
    return plain[0] if len(plain) == 1 else torch.cat(plain)


def _chosen(node_id: str, key: str, choice: str, count: int) -> tuple[int, ...] | None:
    """What a person chose among these candidates: the widget counts before what is remembered."""
    mine = read_choices(choice).get(key)
    picked = host.remembered(node_id).get(key) if mine is None else mine
    if picked is None:
        return None
    picked = checked(picked, count)
    host.remember(node_id, key, picked)
    return picked


def _scored(read: list[tuple[list[str], list[dict]]], count: int) -> tuple[list[str], list[dict]]:
    """The scorers' questions, and what they say of each candidate: nothing where one of them has
    nothing to say. Raises AnchorError."""
    whole = all(candidates for _, candidates in read)
    scored = [candidate for _, candidates in read for candidate in candidates] if whole else []
    if scored and len(scored) != count:
        raise AnchorError(
            f"there are {len(scored)} scores for {count} candidates; connect the same images to "
            "the Anchor Scorer and to the picker."
        )
    same = len({tuple(questions) for questions, _ in read}) == 1
    return (read[0][0] if same else []), scored


def _questions(reports: list[str]) -> list[str]:
    """The rewriter's checklist as far as there is one: it is only shown."""
    questions: list[str] = []
    for report in reports:
        try:
            questions += [str(line["question"]) for line in json.loads(report)["checklist"]]
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return list(dict.fromkeys(questions))[:100]
