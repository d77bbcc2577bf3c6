"""What a video costs on this GPU, at the published sizes with random weights, in the host's code.

`python -m benchmarks.bench_gpu [--model 1.3B 5B A14B] [--dtype bf16]` writes
`benchmarks/results/<date>/gpu.{json,md}`: seconds a step and peak memory of the stock sampler, of
ours without and with an anchor, compiled or not, by attention function, and what the parts of a
video take together. `--device cpu --model small` shows that it runs.

For a machine with torch and nothing else, and no network: `--bundle FOLDER` copies ComfyUI, this
pack and all that they import (but torch) into a folder. Carry it there, and run
`python FOLDER/bench_gpu.py` with the same release of Python and the torch of ComfyUI (2.11).
"""

from __future__ import annotations

import argparse
import datetime
import gc
import importlib.util
import json
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from benchmarks.figures import BRACKETS, Figure, summarise
from benchmarks.gpu_bundle import about_bundle, bundle, stand_in

PACK = Path(__file__).resolve().parents[1]
HOST = PACK / ".host" / "ComfyUI"
DTYPES = {"bf16": torch.bfloat16, "fp8": torch.float8_e4m3fn}
KINDS = ("stock", "plain", "anchored")
SHORT, LONG = (15, 8), 50  # steps with an anchor (paper, section 5.3), and without


def join(host: Path, device: str) -> None:
    """Put the host on the path and load the pack as `fvg_pack`, as the host would."""
    sys.path.insert(0, str(host))
    sys.argv[1:] = ["--cpu"] if device == "cpu" else []
    import comfy.options

    comfy.options.enable_args_parsing()
    spec = importlib.util.spec_from_file_location(
        "fvg_pack", PACK / "__init__.py", submodule_search_locations=[str(PACK)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules["fvg_pack"] = package
    spec.loader.exec_module(package)


def measure(name: str, dtype: str, steps: int, backend: str | None) -> dict[str, Any]:
    """All figures of one model."""
    from comfy.ldm.modules.attention import REGISTERED_ATTENTION_FUNCTIONS

    from benchmarks.gpu_models import MODELS, Bench, attending, compiled, unload

    with torch.inference_mode():
        bench = Bench.build(MODELS[name], DTYPES[dtype])
        runs = {kind: _run(bench, kind, steps) for kind in KINDS}
        if backend:
            runs[f"anchored, compiled ({backend})"] = _run(
                bench, "anchored", steps, compiled(backend)
            )
        for attention, function in REGISTERED_ATTENTION_FUNCTIONS.items():
            runs[f"anchored, {attention} attention"] = _run(
                bench, "anchored", steps, attending(function)
            )
        parts = {
            "encode": _timed(bench.encoded),
            "decode": _timed(lambda: bench.vae.decode(bench.plan.clean)),
        }
        unload()
    own = MODELS[name].sampling
    return {
        "model": name,
        "video": f"{own.width} x {own.height} x {own.frames}",
        "dtype": dtype,
        "runs": runs,
        "parts": parts,
    }


def _run(bench, kind: str, steps: int, *change) -> dict[str, Any]:
    """Seconds a step after a first run that warms up, and peak memory; or what went wrong."""
    try:
        bench.sample(kind, 2, *change)
        _reset_peak()
        _, seconds = bench.sample(kind, steps, *change)
    except Exception as error:  # memory, or a kernel that this GPU lacks: the others go on
        return {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
    return {"seconds": vars(summarise(seconds)), "peak_bytes": _peak()}


def _timed(work) -> dict[str, Any]:
    from benchmarks.gpu_models import now

    try:
        work()
        _reset_peak()
        start = now()
        work()
    except Exception as error:  # as above
        return {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
    return {"seconds": vars(summarise([now() - start])), "peak_bytes": _peak()}


def _reset_peak() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak() -> int | None:
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def page(record: dict[str, Any]) -> str:
    """The record as tables a person reads."""
    lines = [
        f"# Sampling at real sizes, {record['date']}",
        "",
        f"{record['machine']}. Random weights, guidance on (two evaluations a step), euler. Median "
        f"seconds a step, {BRACKETS}; peak of allocated GPU memory.",
        "",
    ]
    return "\n".join([*lines, *(line for case in record["cases"] for line in _section(case))])


def _section(case: dict[str, Any]) -> list[str]:
    rows = {**{f"step, {k}": v for k, v in case["runs"].items()}, **case["parts"]}
    return [
        f"## {case['model']}, {case['video']}, {case['dtype']}",
        "",
        "| | Seconds | Peak, GB |",
        "| --- | --- | --- |",
        *(f"| {name} | {_cells(found)} |" for name, found in rows.items()),
        "",
        *_videos(case),
        "",
    ]


def _cells(found: dict[str, Any]) -> str:
    if "error" in found:
        return f"{found['error']} | -"
    peak = "-" if found["peak_bytes"] is None else f"{found['peak_bytes'] / 1e9:.2f}"
    return f"{Figure(**found['seconds']).text()} | {peak}"


def _videos(case: dict[str, Any]) -> list[str]:
    """Whole videos, as sums of the measured parts."""
    median = lambda found: found["seconds"]["median"] if "seconds" in found else None
    stock, anchored = (median(case["runs"][kind]) for kind in ("stock", "anchored"))
    encode, decode = (median(case["parts"][part]) for part in ("encode", "decode"))
    if None in (stock, anchored, encode, decode):
        return ["Whole videos: a part is missing."]
    whole = LONG * stock + decode
    lines = [f"* text to video, {LONG} steps: {whole:.1f} s"]
    for steps in SHORT:
        short = encode + steps * anchored + decode
        lines.append(f"* anchored, {steps} steps: {short:.1f} s ({short / whole:.2f} of it)")
    return ["Whole videos, as sums of these (without text encoder and anchor picture):", "", *lines]


def main(words: list[str]) -> int:
    arguments = argparse.ArgumentParser(prog="bench_gpu", description=__doc__.split("\n")[0])
    arguments.add_argument("--model", nargs="+", default=["1.3B", "5B", "A14B"])
    arguments.add_argument("--dtype", choices=DTYPES, default="bf16")
    arguments.add_argument("--steps", type=int, default=8, help="measured ones")
    arguments.add_argument("--compile", default="inductor", help="a backend of it, or none")
    arguments.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    arguments.add_argument("--host", type=Path, default=HOST, help="ComfyUI's folder")
    arguments.add_argument("--out", type=Path, help="instead of benchmarks/results/<date>")
    arguments.add_argument("--bundle", type=Path, help="only make the folder to carry")
    options = arguments.parse_args(words)
    if options.device == "cuda" and not torch.cuda.is_available() and not options.bundle:
        print("error: there is no CUDA device here.", file=sys.stderr)
        return 1
    stand_in(always=options.bundle is not None)
    join(options.host.resolve(), "cpu" if options.bundle else options.device)
    if options.bundle:
        import benchmarks.gpu_models  # noqa: F401 - so that all it needs is loaded and seen

        bundle(options.bundle, PACK, options.host.resolve())
        print(about_bundle(options.bundle))
        return 0
    backend = None if options.compile == "none" else options.compile
    cases = []
    for name in options.model:
        cases.append(measure(name, options.dtype, options.steps, backend))
        print(
            page({"date": "", "machine": "", "cases": cases[-1:]}).split("\n\n", 2)[2], flush=True
        )
        _reset_peak()
    gpu = torch.cuda.get_device_name() if options.device == "cuda" else "none"
    record = {
        "date": datetime.date.today().isoformat(),
        "machine": f"GPU: {gpu}; torch {torch.__version__}, Python {platform.python_version()}",
        "cases": cases,
    }
    folder = options.out or PACK / "benchmarks" / "results" / record["date"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gpu.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (folder / "gpu.md").write_text(page(record), encoding="utf-8")
    print(folder / "gpu.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
