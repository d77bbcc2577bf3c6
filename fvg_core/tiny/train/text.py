"""The UMT5, taught whose word is whose before any picture is drawn.

Stands for the language pretraining of the real UMT5: every token tells what its own actor is, does
and becomes, its part in a relation, its place and size, and the ground.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import captions
from ..captions import POSITIONS
from ..scenes import Scene, sample_scene
from ..words import COLORS, DOES, GROUNDS, MEETINGS, SHAPES, SIDES, TEXTURES, sample_prompt
from .loop import run
from .umt5 import CONFIG, EOS, TextEncoder, build, vocabulary

STEPS = 1500
BATCH = 64
LR = 2e-3
LINES = 4000  # to find the vocabulary in
SCENES = 3000  # whose moments are described; prompts are drawn anew at every step
_RELATIONS = (*SIDES, *MEETINGS)
# What each token is asked for; the last class of each means "not said".
QUESTIONS: dict[str, Sequence[object]] = {
    "color": list(COLORS),
    "shape": SHAPES,
    "does": DOES,
    "becomes": list(COLORS),
    "count": range(1, 5),
    "part": [(relation, who) for relation in _RELATIONS for who in (0, 1)],
    "place": list(POSITIONS),
    "size": ("small", "large"),
    "ground": list(GROUNDS),
    "texture": TEXTURES,
}
_OF_GROUND = ("ground", "texture")
_IGNORE = -100
_COLOR = re.compile(rf"\b({'|'.join(COLORS)})\b")


def train_vocabulary() -> bytes:
    rng = random.Random(0)
    prompts = [sample_prompt(rng) for _ in range(LINES)]
    lines = [captions.text(captions.prompt_spans(p, rng)) for p in prompts]
    for scene in _scenes(rng, LINES // 10):
        lines.append(captions.text(captions.moment_spans(scene, rng.random(), rng)))
    return vocabulary(lines)


def train(
    checkpoint: Path, pieces: bytes, device: torch.device, seconds: float
) -> TextEncoder | None:
    """Train or resume; None if `seconds` were over before."""
    torch.manual_seed(0)
    encoder = TextEncoder(pieces, build(CONFIG).to(device))
    heads = nn.ModuleDict(
        {q: nn.Linear(CONFIG["d_model"], len(a) + 1) for q, a in QUESTIONS.items()}
    ).to(device)
    scenes: list[Scene] = []

    def loss_at(step: int, gen: torch.Generator) -> Tensor:
        scenes.extend(_scenes(random.Random(2), SCENES - len(scenes)))
        return _loss(encoder, heads, scenes, gen)

    done = run(
        [*encoder.model.parameters(), *heads.parameters()],
        loss_at,
        state={"model": encoder.model, "heads": heads},
        steps=STEPS,
        lr=LR,
        checkpoint=checkpoint,
        seconds=seconds,
    )
    encoder.model.eval().requires_grad_(False)
    return encoder if done else None


def _scenes(rng: random.Random, count: int) -> list[Scene]:
    return [sample_scene(rng) for _ in range(count)]


def _loss(
    encoder: TextEncoder, heads: nn.ModuleDict, scenes: list[Scene], gen: torch.Generator
) -> Tensor:
    rng = random.Random(torch.randint(2**31, (), generator=gen).item())
    rows = [_example(encoder, scenes, rng) for _ in range(BATCH)]
    hidden = encoder.encode_ids([ids for ids, _ in rows])
    target = torch.full((*hidden.shape[:2], len(QUESTIONS)), _IGNORE)
    for row, (_, labels) in zip(target, rows, strict=True):
        row[: len(labels)] = torch.tensor(labels)
    target = target.to(hidden.device)
    return sum(
        F.cross_entropy(
            heads[q](hidden).flatten(0, 1), target[..., i].flatten(), ignore_index=_IGNORE
        )
        for i, q in enumerate(QUESTIONS)
    )


def _example(
    encoder: TextEncoder, scenes: list[Scene], rng: random.Random
) -> tuple[list[int], list[list[int]]]:
    """Token ids of a caption, and per token its answers."""
    if rng.random() < 0.6:
        prompt = sample_prompt(rng)
        spans, told = captions.prompt_spans(prompt, rng), True
        relation = prompt.relation
    else:
        scene = rng.choice(scenes)
        prompt, told = scene.prompt, False
        spans = captions.moment_spans(scene, rng.random(), rng)
        relation = captions.side_said(spans)
    said = captions.text(spans)
    grounds = {"ground": prompt.ground, "texture": prompt.texture}
    grounds = grounds if "ground" in said else {}
    owners = [s.owner for s in spans for _ in s.text]
    answers = {None: _row(grounds)}
    for span in spans:
        if span.owner is not None:
            actor = prompt.actors[span.owner]
            colors = _COLOR.findall(span.text)
            facts = {"color": colors[0], "shape": actor.shape, "count": actor.count}
            facts["place"] = next(
                (p for p, ways in POSITIONS.items() if any(w in span.text for w in ways)), None
            )
            facts["size"] = next((s for s in ("small", "large") if f"{s} " in span.text), None)
            if relation:
                facts["part"] = (relation, span.owner)
            elif told and prompt.category != "generative_numeracy":
                facts |= {"does": actor.does, "becomes": actor.becomes or None}
            answers[span.owner] = _row({**facts, **grounds})
    ids, labels = [], []
    end = -1  # the first piece carries a space that the caption does not have
    for piece in encoder.pieces.encode(said, out_type=str):
        end += len(piece)
        ids.append(encoder.pieces.piece_to_id(piece))
        labels.append(answers[owners[end - 1]])
    return [*ids, EOS], [*labels, answers[None]]


def _row(facts: dict[str, object]) -> list[int]:
    """Class indices; the questions about an actor are not put to tokens that have none."""
    row = []
    for question, choices in QUESTIONS.items():
        if "color" not in facts and question not in _OF_GROUND:
            row.append(_IGNORE)
        else:
            known = facts.get(question)
            row.append(len(choices) if known is None else list(choices).index(known))
    return row
