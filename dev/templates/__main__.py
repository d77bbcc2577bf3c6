"""`python -m dev templates [--pictures]`: write workflows/ and subgraphs/ anew.

--pictures draws the thumbnails too, with a Chromium.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from dev.host import PACK, prepare
from dev.server import ComfyServer
from dev.templates import files
from fvg_core.bench.client import ComfyClient
from fvg_core.errors import HostError


def main(arguments: list[str]) -> int:
    if set(arguments) - {"--pictures"}:
        print("usage: python -m dev templates [--pictures]", file=sys.stderr)
        return 2
    try:
        with (
            tempfile.TemporaryDirectory() as base,
            ComfyServer(prepare(), Path(base), only_pack=True) as server,
            ComfyClient(server.url) as client,
        ):
            made = files(client.object_info())
            for place, text in made.items():
                path = PACK / place
                path.parent.mkdir(exist_ok=True)
                path.write_text(text, encoding="utf-8")
                print(place)
            if arguments:
                from dev.templates.pictures import draw

                draw(server, [Path(place).stem for place in made if "workflows" in place])
    except HostError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
