"""The rooms of the code base, read from its imports: who may know whom.

The walk sees every import statement, at import time or inside a function, and imports by name
(`importlib.import_module("x")`). Modules of the pack are called by their place: fvg_core.anchor.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STDLIB = sys.stdlib_module_names

# ComfyUI's own top-level modules; everything that starts with "comfy" belongs to it too.
HOST = {"folder_paths", "server", "nodes", "execution", "latent_preview", "node_helpers"}
_MATHS = ("flow", "schedules", "process", "pairs", "anchor", "guidance")
PURE = {f"fvg_core.{name}" for name in _MATHS}
SHARED_BY_ALL = {"fvg_core.errors", "fvg_core.categories"}
PLAIN = PURE | {"fvg_core.errors", "fvg_core.frames"}

# Packages that may be imported at import time. Anything else belongs inside the function that
# needs it, so that starting ComfyUI with the pack costs almost nothing.
LIGHT = {"torch", "numpy", "safetensors", "PIL"}
BENCH = {"aiohttp", "av", "numpy", "PIL", "tqdm"}
LIGHT_BY_ROOM = {
    "fvg_core.prompts": LIGHT | {"pydantic"},
    "fvg_core.train": LIGHT | {"pydantic"},
    "fvg_core.llm": LIGHT | {"pydantic"},
    "fvg_core.bench": BENCH,
}


@dataclass(frozen=True)
class Import:
    """One import. `target`: dotted name; `own`: a module of the pack; `late`: in a function."""

    file: str
    line: int
    target: str
    own: bool
    late: bool

    @property
    def package(self) -> str:
        return self.target.split(".")[0]


def sources(root: Path) -> Iterator[Path]:
    yield from (root / "__init__.py", *sorted(root.glob("fvg_core/**/*.py")))
    yield from sorted(root.glob("nodes/**/*.py"))


def module_name(root: Path, path: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(root: Path, path: Path) -> list[Import]:
    """Every import of a file, relative ones resolved to modules of the pack."""
    module = module_name(root, path)
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    package = [part for part in package if part]
    found: list[Import] = []

    def add(node: ast.AST, target: str, own: bool, late: bool) -> None:
        found.append(Import(str(path.relative_to(root)), node.lineno, target, own, late))

    def from_import(node: ast.ImportFrom, late: bool) -> None:
        if not node.level:
            add(node, node.module, False, late)
            return
        base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
        base = [part for part in base if part]
        for alias in node.names:
            inner = root.joinpath(*base, alias.name)
            known = inner.is_dir() or inner.with_suffix(".py").is_file()
            add(node, ".".join([*base, alias.name] if known else base), True, late)

    def visit(node: ast.AST, late: bool) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                add(node, alias.name, False, late)
        elif isinstance(node, ast.ImportFrom):
            from_import(node, late)
        elif isinstance(node, ast.Call) and _imports_by_name(node):
            add(node, node.args[0].value, False, late)
        late = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        late = late or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for child in ast.iter_child_nodes(node):
            visit(child, late)

    visit(ast.parse(path.read_text(encoding="utf-8")), False)
    return found


def _imports_by_name(call: ast.Call) -> bool:
    name = ast.unparse(call.func).split(".")[-1]
    first = call.args[0] if call.args else None
    return (
        name in ("import_module", "__import__")
        and isinstance(first, ast.Constant)
        and isinstance(first.value, str)
    )


def is_host(i: Import) -> bool:
    return not i.own and (i.package in HOST or i.package.startswith("comfy"))


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def breach(module: str, i: Import) -> str | None:
    """Why this import is not allowed in this module, or None."""
    if i.own:
        return _own_breach(module, i)
    if i.package in STDLIB and i.package not in HOST:
        return None
    if i.package == "fvg_core" or (i.package == "nodes" and not within(module, "nodes.host")):
        return "modules of the pack are imported relatively"
    if within(module, "nodes.host"):
        return None if is_host(i) or i.package in LIGHT else "not needed to reach the host"
    if within(module, "nodes"):
        allowed = {"comfy_api", "comfy_execution", "torch"}
        return None if i.package in allowed else "a node knows comfy_api, host and fvg_core only"
    if is_host(i):
        return "only nodes/ knows ComfyUI"
    return _package_breach(module, i)


def _own_breach(module: str, i: Import) -> str | None:
    if module == "":
        return None if i.late else "the root imports its nodes when ComfyUI asks"
    if within(module, "fvg_core"):
        if not within(i.target, "fvg_core"):
            return "fvg_core does not know the nodes"
        if module in PURE and i.target not in PLAIN:
            return "the maths imports torch and other maths only"
        inside = within(i.target, "fvg_core.bench") or i.target in SHARED_BY_ALL
        if within(module, "fvg_core.bench") and not inside:
            return "bench speaks HTTP"
        return None
    if module == "nodes" or within(i.target, "nodes.host") or within(i.target, "fvg_core"):
        return None
    return "a node does not know another node"


def _package_breach(module: str, i: Import) -> str | None:
    if module in PURE and i.package != "torch":
        return "the maths imports torch only"
    if within(module, "fvg_core.bench") and i.package not in BENCH:
        return "bench speaks HTTP"
    rooms = [allowed for room, allowed in LIGHT_BY_ROOM.items() if within(module, room)]
    if i.late or i.package in (rooms[0] if rooms else LIGHT):
        return None
    return "import it inside the function that needs it"


def breaches(root: Path) -> list[str]:
    return [
        f"{i.file}:{i.line} imports {i.target}: {why}"
        for path in sources(root)
        for i in imports(root, path)
        if (why := breach(module_name(root, path), i))
    ]


def loaded_at_start(root: Path) -> tuple[set[str], set[str]]:
    """Modules of the pack, and packages, that are imported when the host loads the nodes."""
    by_name = {module_name(root, path): imports(root, path) for path in sources(root)}
    waiting = [name for name in by_name if within(name, "nodes")]
    modules: set[str] = set()
    packages: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in modules or name not in by_name:
            continue
        modules.add(name)
        waiting.append(name.rpartition(".")[0])  # a package is imported before its modules
        for i in by_name[name]:
            if not i.late:
                waiting.append(i.target) if i.own else packages.add(i.package)
    return modules, packages - STDLIB


def test_every_room_keeps_to_its_imports():
    assert not breaches(ROOT)


def test_loading_the_nodes_loads_nothing_heavy():
    modules, packages = loaded_at_start(ROOT)
    assert {"nodes.host.hold", "fvg_core.anchor", "fvg_core.prompts.rules"} <= modules
    assert not {m for m in modules if within(m, "fvg_core.tiny") or within(m, "fvg_core.bench")}
    # The host itself has imported pydantic by then (its server's routes do).
    assert {p for p in packages if not p.startswith("comfy")} - HOST <= LIGHT | {"pydantic"}


BAD = {
    "fvg_core/a.py": ("import comfy.sd", "only nodes/ knows ComfyUI"),
    "fvg_core/b.py": ("def f():\n    import folder_paths", "only nodes/ knows ComfyUI"),
    "fvg_core/c.py": ("import importlib\nimportlib.import_module('server')", "only nodes/"),
    "fvg_core/d.py": ("from ..nodes import host", "does not know the nodes"),
    "fvg_core/e.py": ("import nodes", "relatively"),
    "fvg_core/f.py": ("from fvg_core.anchor import pin", "relatively"),
    "fvg_core/g.py": ("import diffusers", "inside the function"),
    "fvg_core/h.py": ("class A:\n    from transformers import AutoModel", "inside the function"),
    "fvg_core/i.py": (
        "try:\n    import peft\nexcept ImportError:\n    pass",
        "inside the function",
    ),
    "fvg_core/tiny/scenes.py": ("import scipy", "inside the function"),
    "fvg_core/flow.py": ("import numpy", "torch only"),
    "fvg_core/guidance.py": ("def f():\n    import scipy", "torch only"),
    "fvg_core/anchor.py": ("from .tiny import scenes", "torch and other maths only"),
    "fvg_core/bench/j.py": ("from ..anchor import pin", "bench speaks HTTP"),
    "fvg_core/bench/k.py": ("def f():\n    import torch", "bench speaks HTTP"),
    "nodes/l.py": ("import comfy.samplers", "a node knows"),
    "nodes/m.py": ("def f():\n    import folder_paths", "a node knows"),
    "nodes/n.py": ("from .l import L", "another node"),
    "nodes/o.py": ("from fvg_core.anchor import pin", "relatively"),
    "nodes/p.py": ("import nodes", "relatively"),
    "nodes/q.py": ("import diffusers", "a node knows"),
    "nodes/host/r.py": ("from ..l import L", "another node"),
    "nodes/host/s.py": ("import transformers", "not needed"),
    "__init__.py": ("from .nodes import extension", "when ComfyUI asks"),
}


@pytest.mark.parametrize("file", BAD)
def test_a_breach_is_seen(tmp_path: Path, file: str):
    source, why = BAD[file]
    for name in ("__init__.py", "fvg_core/anchor.py", "fvg_core/tiny/scenes.py", "nodes/l.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / file).write_text(source)
    (found,) = breaches(tmp_path)
    assert found.startswith(f"{file}:")
    assert why in found


def test_a_heavy_start_is_seen(tmp_path: Path):
    for name, source in {
        "nodes/__init__.py": "",
        "nodes/x.py": "from ..fvg_core.tiny import seeing",
        "fvg_core/tiny/seeing.py": "import scipy",
        "fvg_core/__init__.py": "def f():\n    import diffusers",
        "__init__.py": "",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source)
    modules, packages = loaded_at_start(tmp_path)
    assert "fvg_core.tiny.seeing" in modules
    assert packages == {"scipy"}


def test_the_root_is_imported_without_comfyui():
    root = importlib.util.spec_from_file_location("fvg_root", ROOT / "__init__.py")
    module = importlib.util.module_from_spec(root)
    root.loader.exec_module(module)
    assert module.WEB_DIRECTORY
    assert not hasattr(module, "NODE_CLASS_MAPPINGS")  # the host would skip the entrypoint
    assert not {name for name in sys.modules if name.split(".")[0] in ("comfy", "folder_paths")}


def test_no_file_names_a_place_on_someones_machine():
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    places = "|".join(("work", "root", "home", "Users"))
    place = re.compile(rb"(?<![\w./-])/(%s)/\w" % places.encode())
    named = [
        f"{name}: {match[0].decode()}"
        for name in listed.stdout.split("\0")
        if name and (ROOT / name).is_file()
        for match in place.finditer((ROOT / name).read_bytes())
    ]
    assert not named
