"""Do the public suites find what `--suite` writes? Their own parsing, run on our names.

`python -m benchmarks.suites --vbench COPY --compbench COPY` takes checkouts of Vchitect/VBench and
KaiyueSun98/T2V-CompBench, lays out empty files under the names a batch would give to its videos,
and has each suite look for what it wants. Of VBench runs `build_full_info_json` itself (both
editions), without the modules that need models. T2V-CompBench's scripts cannot be loaded without
theirs: they take the sorted listing of a category's folder and the i-th line of its meta data
(`read_video_path` and `main` of MLLM_eval/*.py and Detection_eval/*.py), which is done here. Its
prompt files and its meta data differ in a full stop at the end of two lines; that is overlooked.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks import report
from fvg_core.bench.suites import VBENCH2, suite_entries
from fvg_core.categories import CATEGORIES

META = (  # in the order of CATEGORIES
    "consistent_attribute_binding",
    "dynamic_attribute_binding",
    "spatial_relationships",
    "motion_binding",
    "action_binding",
    "object_interactions",
    "generative_numeracy",
)
Json = dict[str, Any]


def lay_out(suite: str, prompts: Path, out: Path) -> int:
    """Empty files where the videos of a suite would be; how many."""
    names = {name for entry in suite_entries(suite, prompts) for name in entry.targets}
    for name in names:
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return len(names)


def theirs(package: Path, name: str) -> ModuleType:
    """A suite's own package, with JSON files for all that its helpers do besides."""
    utils, distributed = ModuleType(f"{name}.utils"), ModuleType(f"{name}.distributed")
    utils.load_json = lambda path: json.loads(Path(path).read_text(encoding="utf-8"))
    utils.save_json = lambda data, path: Path(path).write_text(json.dumps(data), encoding="utf-8")
    utils.get_prompt_from_filename = utils.init_submodules = None  # not asked for here
    distributed.get_rank, distributed.print0 = lambda: 0, print
    sys.modules |= {utils.__name__: utils, distributed.__name__: distributed}
    spec = importlib.util.spec_from_file_location(
        name, package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def look(suite: Any, videos: Path, dimension: str) -> Iterator[Json]:
    """What `build_full_info_json` finds for a dimension, prompt by prompt."""
    with contextlib.redirect_stdout(io.StringIO()):
        path = suite.build_full_info_json(str(videos), "names", [dimension])
    yield from json.loads(Path(path).read_text(encoding="utf-8"))


def vbench(copy: Path, work: Path) -> Json:
    """Every dimension of VBench on one folder."""
    made = lay_out("vbench", copy / "prompts" / "prompts_per_dimension", work)
    package = copy / "vbench"
    suite = theirs(package, "vbench").VBench(
        "cpu", str(package / "VBench_full_info.json"), str(work)
    )
    asked = found = 0
    for dimension in suite.build_full_dimension_list():
        for prompt in look(suite, work / "vbench_videos", dimension):
            asked, found = asked + 5, found + len(prompt["video_list"])
    return {"names": made, "asked": asked, "found": found}


def vbench2(copy: Path, work: Path) -> Json:
    """Every dimension of VBench-2.0, each in its folder."""
    made = lay_out("vbench2", copy / "VBench-2.0" / "prompts" / "prompt", work)
    package = copy / "VBench-2.0" / "vbench2"
    suite = theirs(package, "vbench2").VBench2(
        "cpu", str(package / "VBench2_full_info.json"), str(work)
    )
    asked = found = 0
    for dimension in VBENCH2:
        for prompt in look(suite, work / "vbench2_videos" / dimension, dimension):
            asked += 20 if dimension == "Diversity" else 3
            found += len(prompt["video_list"])
    return {"names": made, "asked": asked, "found": found}


def compbench(copy: Path, work: Path) -> Json:
    """Every category: as many files as prompts, the i-th made of the i-th line of its meta data."""
    made = lay_out("t2v-compbench", copy / "prompts", work)
    wanted = {
        entry.targets[0]: entry.prompt for entry in suite_entries("t2v-compbench", copy / "prompts")
    }
    asked = found = 0
    for category, meta in zip(CATEGORIES, META, strict=True):
        lines = json.loads((copy / "meta_data" / f"{meta}.json").read_text(encoding="utf-8"))
        listing = sorted(os.listdir(work / "video" / category))
        asked += len(lines)
        for i, line in enumerate(lines[: len(listing)]):
            prompt = wanted[f"video/{category}/{listing[i]}"]
            found += prompt.rstrip(".") == str(line["prompt"]).strip().rstrip(".")
    return {"names": made, "asked": asked, "found": found}


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.suites", description=__doc__)
    parser.add_argument("--vbench", type=Path, required=True)
    parser.add_argument("--compbench", type=Path, required=True)
    parser.add_argument("--out", type=Path, help="folder instead of benchmarks/results/<date>")
    options = parser.parse_args(words)
    checks = {
        "T2V-CompBench": (compbench, options.compbench),
        "VBench-2.0": (vbench2, options.vbench),
        "VBench": (vbench, options.vbench),
    }
    rows = {}
    for name, (check, copy) in checks.items():
        with tempfile.TemporaryDirectory(prefix="fvg-suites-") as work:
            rows[name] = check(copy.resolve(), Path(work)) | {"commit": _commit(copy)}
    date = datetime.date.today().isoformat()
    text = page(date, rows)
    report.write(
        {"date": date, "suites": rows}, text, options.out or report.RESULTS / date, "suites"
    )
    print(text)
    return 0


def _commit(copy: Path) -> str:
    asked = ["git", "-C", str(copy), "rev-parse", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()


def page(date: str, rows: dict[str, Json]) -> str:
    """The record as a person reads it."""
    return "\n".join(
        [
            f"# The suites' own parsing on our names, {date}",
            "",
            "`python -m benchmarks.suites`: empty files under the names that `--suite` gives to "
            "videos, and what each suite's reading of the folder finds (how: see the script).",
            "",
            "| Suite | commit | files we name | videos it asks for | found |",
            "|---|---|---|---|---|",
            *(
                f"| {name} | `{row['commit'][:12]}` | {row['names']} | {row['asked']} | "
                f"{row['found']} |"
                for name, row in rows.items()
            ),
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
