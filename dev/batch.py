"""`python -m dev batch ...`: `python -m fvg_core batch --start ...`, in the Python of the install.

How a ComfyUI is started is known here and not in fvg_core, which speaks HTTP.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from dev.cluster import workers
from dev.host import prepare
from dev.server import ComfyServer
from fvg_core.__main__ import main as command


@contextlib.contextmanager
def started(
    ray: str | None, count: int | None
) -> Iterator[tuple[tuple[str, ...], Callable[[str], str] | None]]:
    """A ComfyUI on loopback, or `count` on the cluster `ray`: their addresses, and who tells
    what becomes of an address. They end with the context."""
    install = prepare()
    if ray is not None:
        with workers(install, ray, count) as fleet:
            yield fleet.urls, fleet.where
        return
    with tempfile.TemporaryDirectory(prefix="fvg-batch-") as base:
        print(f"Starting ComfyUI {install.version_text()}", file=sys.stderr, flush=True)
        with ComfyServer(install, Path(base)) as server:
            yield (server.url,), None


def main(arguments: list[str]) -> None:
    sys.argv = ["python -m fvg_core", "batch", "--start", *arguments]
    command()


if __name__ == "__main__":
    main(sys.argv[1:])
