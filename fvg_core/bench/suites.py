"""Public benchmarks: their prompt files, read from the user's copy, and the names their scorers
expect.

T2V-CompBench  README of KaiyueSun98/T2V-CompBench: video/<category>/0001.mp4, in the order of
               the prompts
VBench-2.0     VBench-2.0/prompts/README.md of Vchitect/VBench: <dimension>/<prompt[:180]>-<i>.mp4
VBench         prompts/README.md of Vchitect/VBench: <prompt>-<i>.mp4
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ..categories import CATEGORIES
from ..errors import BatchError
from .prompt_list import Entry

# fmt: off
VBENCH2 = (
    "Camera_Motion", "Complex_Landscape", "Complex_Plot", "Composition", "Diversity",
    "Dynamic_Attribute", "Dynamic_Spatial_Relationship", "Human_Anatomy", "Human_Clothes",
    "Human_Identity", "Human_Interaction", "Instance_Preservation", "Material", "Mechanics",
    "Motion_Order_Understanding", "Motion_Rationality", "Multi-View_Consistency", "Thermotics",
)
VBENCH = (
    "appearance_style", "color", "human_action", "multiple_objects", "object_class",
    "overall_consistency", "scene", "spatial_relationship", "subject_consistency",
    "temporal_flickering", "temporal_style",
)
# fmt: on
SUITES = {"t2v-compbench": CATEGORIES, "vbench2": VBENCH2, "vbench": VBENCH}
LONGEST_NAME = 255  # bytes, of any common file system


def suite_entries(suite: str, folder: Path, only: tuple[str, ...] = ()) -> Iterator[Entry]:
    """The entries of a suite whose prompt files are in `folder`; `only` some dimensions.

    A video that several dimensions want under one name is made once.
    """
    if suite not in SUITES:
        raise BatchError(f"There is no suite {suite!r}; expected one of {', '.join(SUITES)}.")
    for name in only:
        if name not in SUITES[suite]:
            raise BatchError(f"{suite} has no {name!r}; it has {', '.join(SUITES[suite])}.")
    named: dict[str, str] = {}
    for dimension in only or SUITES[suite]:
        path = _prompt_file(suite, folder, dimension)
        for number, prompt in enumerate(_prompts(path), 1):
            for seed, target in _targets(suite, dimension, number, prompt):
                former = named.setdefault(target, prompt)
                if former != prompt:
                    raise BatchError(
                        f"{path}: two prompts would get the name {target!r}: {former[:240]!r} and "
                        f"{prompt[:240]!r}."
                    )
                yield Entry(prompt, number, seed, targets=(target,))


def _prompt_file(suite: str, folder: Path, dimension: str) -> Path:
    pattern = f"{dimension}.txt"
    if suite == "t2v-compbench":
        pattern = f"{CATEGORIES.index(dimension) + 1}_*.txt"
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise BatchError(
            f"{folder} has {len(found)} files {pattern}; 1 is expected. Name the folder of the "
            f"prompt files in your copy of {suite} as --prompts-dir."
        )
    return found[0]


def _prompts(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BatchError(f"{path} cannot be read: {error}.") from error
    return [line.strip() for line in lines if line.strip()]


def _targets(
    suite: str, dimension: str, number: int, prompt: str
) -> Iterator[tuple[int | None, str]]:
    """(seed, name) of each video of a prompt; `number` counts from 1."""
    if suite == "t2v-compbench":
        yield None, f"video/{dimension}/{number:04d}.mp4"
    elif suite == "vbench2":
        for i in range(20 if dimension == "Diversity" else 3):
            yield i, f"vbench2_videos/{dimension}/{_name(prompt[:180], i)}"
    else:
        for i in range(25 if dimension == "temporal_flickering" else 5):
            yield i, f"vbench_videos/{_name(prompt, i)}"


def _name(prompt: str, number: int) -> str:
    name = f"{prompt}-{number}.mp4"
    if re.search(r"[/\\\x00-\x1f\x7f]", name) or len(name.encode()) > LONGEST_NAME:
        raise BatchError(
            f"{name[:80]!r} cannot be a file name, and the scorer expects no other. Expected "
            f"prompts without slashes, at most {LONGEST_NAME} bytes."
        )
    return name
