"""The tiny UMT5: a sentencepiece vocabulary and two layers that know who owns which word.

Stands for the language pretraining of the real UMT5: every token is trained to tell colour, shape,
motion, place and ground of the object it speaks of, so that its features carry the binding.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import captions
from ..captions import Span
from ..world import COLORS, GROUNDS, MOTIONS, POSITIONS, SHAPES, Scene, sample_scene
from .loop import run
from .umt5 import CONFIG, EOS, TextEncoder, build, vocabulary

STEPS = 1500
BATCH = 64
LR = 2e-3
# What each token of an object is asked for; the last class of each means "not said".
_QUESTIONS = {
    "color": list(COLORS),
    "shape": list(SHAPES),
    "motion": list(MOTIONS),
    "position": list(POSITIONS),
    "ground": list(GROUNDS),
}
_IGNORE = -100


def train_vocabulary() -> bytes:
    rng = random.Random(0)
    lines = []
    for i in range(6000):
        scene = sample_scene(rng, 1 + i % 2, held_out=None)
        lines.append(captions.text(captions.motion_spans(scene, rng)))
        lines.append(captions.text(captions.still_spans(scene, rng)))
    return vocabulary(lines)


def train(checkpoint: Path, pieces: bytes) -> TextEncoder:
    torch.manual_seed(0)
    encoder = TextEncoder(pieces, build())
    heads = nn.ModuleDict(
        {q: nn.Linear(CONFIG["d_model"], len(a) + 1) for q, a in _QUESTIONS.items()}
    )
    run(
        [*encoder.model.parameters(), *heads.parameters()],
        lambda step, gen: _loss(encoder, heads, gen),
        state={"model": encoder.model, "heads": heads},
        steps=STEPS,
        lr=LR,
        checkpoint=checkpoint,
    )
    encoder.model.eval().requires_grad_(False)
    return encoder


def _loss(encoder: TextEncoder, heads: nn.ModuleDict, gen: torch.Generator) -> Tensor:
    rng = random.Random(torch.randint(2**31, (), generator=gen).item())
    ids, answers = [], []
    for _ in range(BATCH):
        scene = sample_scene(rng, rng.choice((1, 2, 2)))
        describe = rng.choice((captions.motion_spans, captions.still_spans))
        tokens, labels = _label(encoder.pieces, scene, describe(scene, rng))
        ids.append(tokens)
        answers.append(labels)
    hidden = encoder.encode_ids(ids)
    total = hidden.new_zeros(())
    for i, question in enumerate(_QUESTIONS):
        target = torch.full(hidden.shape[:2], _IGNORE)
        for row, labels in enumerate(answers):
            target[row, : len(labels)] = torch.tensor([label[i] for label in labels])
        total = total + F.cross_entropy(
            heads[question](hidden).flatten(0, 1), target.flatten(), ignore_index=_IGNORE
        )
    return total


def _label(pieces, scene: Scene, spans: list[Span]) -> tuple[list[int], list[list[int]]]:
    """Token ids of a caption and, per token, the answers to _QUESTIONS about its owner."""
    owners = [span.owner for span in spans for _ in span.text]
    said = captions.text(spans)
    ground = list(GROUNDS).index(scene.ground) if "background" in said else len(GROUNDS)
    unowned = [_IGNORE] * 4 + [ground]
    ids, labels = [], []
    end = -1  # the first piece carries a space that the caption does not have
    for piece in pieces.encode(said, out_type=str):
        end += len(piece)
        owner = owners[end - 1]
        ids.append(pieces.piece_to_id(piece))
        if owner is None:
            labels.append(unowned)
            continue
        thing = scene.things[owner]
        phrase = next(s.text for s in spans if s.owner == owner)
        moved = any(phrase.endswith(m) for m in captions.MOTION_PHRASES[thing.motion])
        labels.append(
            [
                list(COLORS).index(thing.color),
                SHAPES.index(thing.shape),
                list(MOTIONS).index(thing.motion) if moved else len(MOTIONS),
                POSITIONS.index(thing.position) if thing.position in phrase else len(POSITIONS),
                ground,
            ]
        )
    return [*ids, EOS], [*labels, unowned]
