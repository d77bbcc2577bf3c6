"""`make serve`: ComfyUI with the pack, until Ctrl-C. PORT chooses the port."""

from __future__ import annotations

import os
import sys

from dev.host import PACK, prepare
from dev.server import ComfyServer, free_port
from fvg_core.errors import HostError

USUAL_PORT = 8188


def wanted_port(text: str | None) -> int:
    """PORT if it is given; else ComfyUI's usual one, or any free one when that is taken."""
    if text:
        if not text.isdecimal() or not 0 < int(text) < 65536:
            raise HostError(f"PORT={text} is not a port; give a number from 1 to 65535.")
        return int(text)
    try:
        return free_port(USUAL_PORT)
    except HostError:
        return free_port()


def main() -> int:
    try:
        install = prepare()
        base = PACK / ".host" / "serve"
        with ComfyServer(install, base, port=wanted_port(os.environ.get("PORT"))) as server:
            print(f"\nComfyUI {install.version_text()} with FVG: {server.url}")
            print("Templates, then comfyui-fvg: fvg_tiny is the place to start.")
            print(f"Results: {server.output}\nLog: {server.log}\nCtrl-C stops it.", flush=True)
            code = server.wait()
            raise HostError(f"ComfyUI ended by itself (exit {code}).\n{server.log_tail()}")
    except HostError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 0


if __name__ == "__main__":
    sys.exit(main())
