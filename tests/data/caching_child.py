"""Builds a cache in a process of its own, to be killed or to run out of room.

Arguments: clips, cache, shard bytes, then `slow`, `endless`, or `limit` and bytes for each file.
"""

from __future__ import annotations

import itertools
import resource
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from exact_encoders import TARGET, Encoders  # noqa: E402
from scans import scan  # noqa: E402

from fvg_core.backbones.wan import WAN21  # noqa: E402
from fvg_core.data import build_cache, plan  # noqa: E402


def main(source: str, folder: str, shard_bytes: str, mode: str, limit: str = "") -> None:
    encoders, cache = Encoders(), Path(folder)
    samples = plan(scan(Path(source)), TARGET, WAN21).samples
    if mode == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    print("ready", flush=True)
    for turn in itertools.count():
        for progress in build_cache(
            samples,
            cache,
            encode_video=encoders.video,
            encode_text=encoders.text,
            key="models",
            shard_bytes=int(shard_bytes),
        ):
            if progress.encoded and mode != "endless":
                print("stored", progress.done, flush=True)
                time.sleep(0.1)
        if mode != "endless":
            return
        shards = sorted(cache.glob("*.safetensors"))
        shards[turn % len(shards)].unlink()


if __name__ == "__main__":
    main(*sys.argv[1:])
