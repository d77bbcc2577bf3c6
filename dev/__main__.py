"""`python -m dev install|demo|serve|anchor-lora|batch|templates`: what `make` calls, and more.

Standard library only.
"""

from __future__ import annotations

import os
import sys

USAGE = "usage: python -m dev install [--dev] | demo | serve | anchor-lora | batch ... | templates"


def main(arguments: list[str]) -> int:
    if sys.version_info < (3, 10):  # noqa: UP036  (the message is for those who have less)
        version = ".".join(str(part) for part in sys.version_info[:3])
        print(
            "error: Python 3.10 or newer is needed, and this is "
            + version
            + " ("
            + sys.executable
            + "). Name a newer one: make demo PYTHON=/path/to/python3"
        )
        return 1
    from dev.chromium import ensure_chromium
    from dev.host import PACK, prepare
    from dev.install import managed_install
    from fvg_core.errors import HostError

    os.chdir(PACK)
    try:
        if arguments[:1] == ["install"]:
            managed_install(dev="--dev" in arguments)
            if "--dev" in arguments:
                ensure_chromium()
            install = prepare()
            print(f"ComfyUI {install.version_text()} at {install.root}, run by {install.python}")
            return 0
        if arguments in (["demo"], ["serve"], ["anchor-lora"]):
            python = str(prepare().python)
            module = arguments[0].replace("-", "_")
            os.execv(python, [python, "-m", f"dev.{module}"])
        if arguments[:1] in (["batch"], ["templates"]):
            python = str(prepare().python)
            os.execv(python, [python, "-m", f"dev.{arguments[0]}", *arguments[1:]])
    except HostError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    print(USAGE, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
