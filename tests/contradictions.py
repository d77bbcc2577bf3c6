"""Wrong prompts for scenes of the tiny world: what a scorer must tell from the right ones."""

from __future__ import annotations

import random
from dataclasses import replace

from fvg_core.tiny.words import ACTIONS, MEETINGS, SHAPES, SIDES, TURNS, WAYS, Prompt


def contradict(prompt: Prompt, rng: random.Random) -> Prompt:
    """A prompt that differs in what its category is about, so that no video fits both."""
    first, *rest = prompt.actors
    other = lambda known, all_: rng.choice([x for x in all_ if x != known])
    if prompt.category == "consistent_attr":
        changed = replace(first, shape=other(first.shape, SHAPES))
        second = rest[0]
        if second.shape != first.shape and rng.random() < 0.5:  # the colours change places
            changed = replace(first, color=second.color)
            rest = [replace(second, color=first.color), *rest[1:]]
        return replace(prompt, actors=(changed, *rest))
    if prompt.category == "dynamic_attr":
        if rest and rng.random() < 0.5:  # the other one moves
            moving = replace(rest[0], does=rng.choice(list(WAYS)))
            return replace(prompt, actors=(first, moving, *rest[1:]))
        if first.does == "turns":
            changed = replace(first, color=first.becomes, becomes=first.color)
        else:
            changed = replace(first, does="shrinks" if first.does == "grows" else "grows")
        return replace(prompt, actors=(changed, *rest))
    if prompt.relation:
        turned = {"actors": (*rest, first)}
        if prompt.relation == "meets" or rng.random() < 0.5:
            same = SIDES if prompt.relation in SIDES else MEETINGS
            turned = {"relation": other(prompt.relation, same)}
        return replace(prompt, **turned)
    if prompt.category == "generative_numeracy":
        return replace(
            prompt, actors=(replace(first, count=other(first.count, range(1, 5))), *rest)
        )
    if rest and first.does != "spins" != rest[0].does:  # what they do changes places
        swapped = (replace(first, does=rest[0].does), replace(rest[0], does=first.does))
        return replace(prompt, actors=swapped)
    does = [*WAYS, *TURNS] if prompt.category == "motion_binding" else [*ACTIONS[1:], "rests"]
    return replace(prompt, actors=(replace(first, does=other(first.does, does)), *rest))
