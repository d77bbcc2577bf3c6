"""A folder that runs benchmarks/bench_gpu.py on a machine with torch and nothing else.

It holds the files of all modules that are loaded when it is made: those of ComfyUI, of this pack,
and of the packages that they import. Torch and what comes with torch stay out.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

OF_TORCH = {"torch", "torchgen", "functorch", "triton", "nvidia", "sympy", "mpmath", "networkx"}
# The host imports them, sampling Wan does not use them, and they are large or tied to one torch.
NOT_NEEDED = ("torchvision", "torchaudio", "av", "scipy", "transformers")
START = """\
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path[:0] = [str(ROOT / "pack")]
sys.path.append(str(ROOT / "packages"))  # what the machine has comes first

from benchmarks.bench_gpu import main

sys.exit(main(["--host", str(ROOT / "host"), "--out", str(ROOT), *sys.argv[1:]]))
"""


def bundle(folder: Path, pack: Path, host: Path) -> None:
    """Write the folder from the modules that are loaded now. `folder` must not exist."""
    folder.mkdir(parents=True)
    for file in sorted(set(_files())):
        place = _place(file, pack, host)
        if place is not None:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / place)
    (folder / "bench_gpu.py").write_text(START, encoding="utf-8")


def about_bundle(folder: Path) -> str:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    version = ".".join(map(str, sys.version_info[:2]))
    return (
        f"{folder}: {size / 1e6:.0f} MB, for Python {version} on {sys.platform} with torch. "
        f"There: python {folder.name}/bench_gpu.py"
    )


def _files() -> Iterator[Path]:
    """The files of every loaded module; of its wheel what is beside the package."""
    wheels = importlib.metadata.packages_distributions()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file is None or name.split(".")[0] in {*OF_TORCH, *NOT_NEEDED}:
            continue
        yield Path(file).resolve()
        for wheel in wheels.get(name, ()):
            about = importlib.metadata.distribution(wheel)
            yield from (
                Path(about.locate_file(path)).resolve()
                for path in about.files or ()
                if path.parts[0].endswith((".dist-info", f"{wheel}.libs"))
            )


def _place(file: Path, pack: Path, host: Path) -> Path | None:
    """Where a module's file goes in the bundle; None for Python's own."""
    for root, name in ((host.resolve(), "host"), (pack.resolve(), "pack")):
        inside = file.is_relative_to(root) and "site-packages" not in file.parts
        if inside:
            return Path(name) / file.relative_to(root)
    if "site-packages" in file.parts:
        after = len(file.parts) - file.parts[::-1].index("site-packages")
        return Path("packages", *file.parts[after:])
    return None


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Modules of NOT_NEEDED packages that are not there: they can be imported, not used."""

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] not in NOT_NEEDED:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        return ModuleType(spec.name)

    def exec_module(self, module):
        def attribute(name: str):
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {"__module__": module.__name__})

        module.__getattr__ = attribute


def stand_in(*, always: bool = False) -> None:
    """Let the host start where packages that it only imports are missing. `always`: also where
    they are there, so that what they import is not loaded either."""
    sys.meta_path.insert(0 if always else len(sys.meta_path), _StandIns())
