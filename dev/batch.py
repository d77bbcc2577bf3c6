"""`python -m dev batch ...`: `python -m fvg_core batch ...` on a ComfyUI started for it alone.

Here and not in fvg_core, which speaks HTTP and does not know how a ComfyUI is installed.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from dev.host import prepare
from dev.server import ComfyServer
from fvg_core.__main__ import main as command
from fvg_core.errors import FVGError


def main(arguments: list[str]) -> None:
    try:
        install = prepare()
        with tempfile.TemporaryDirectory(prefix="fvg-batch-") as base:
            print(f"Starting ComfyUI {install.version_text()}", file=sys.stderr, flush=True)
            with ComfyServer(install, Path(base)) as server:
                sys.argv = ["python -m fvg_core", "batch", *arguments, "--server", server.url]
                command()
    except FVGError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main(sys.argv[1:])
