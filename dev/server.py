"""Start a real ComfyUI on loopback, wait until it answers, and leave no process behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from dev.host import LINK_NAME, Install
from fvg_core.errors import HostError

CHILD = Path(__file__).with_name("child.py")
LOOPBACK = "127.0.0.1"
RAY_AUTH = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")  # of a worker's cluster, and no node's business
# Proxies of the environment are for the internet, not for loopback.
_open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


class ComfyServer:
    """A ComfyUI process with its own folders below `base`; a context manager.

    `custom_nodes` are folders of further packs, loaded beside the install's own.
    `only_pack` leaves every other pack of the install unloaded; `own_loras` puts trained LoRAs
    into `base`/loras instead of the install. `device` is "auto" (the GPU where that Python's
    torch sees one), "cpu" or "gpu". Who reaches `address` can use the server: it asks nobody
    for a password.
    """

    def __init__(
        self,
        install: Install,
        base: Path,
        *,
        extra_args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        custom_nodes: Sequence[Path] = (),
        only_pack: bool = False,
        own_loras: bool = False,
        device: str = "auto",
        address: str = LOOPBACK,
        port: int | None = None,
        timeout_s: float = 240,
    ) -> None:
        self.install = install
        self.base = Path(base).resolve()
        self.extra_args = tuple(extra_args)
        self.env = dict(env or {})
        self.custom_nodes = tuple(Path(path).resolve() for path in custom_nodes)
        self.only_pack = only_pack
        self.own_loras = own_loras
        self.device = device
        self.address = address
        self.wanted_port = port
        self.timeout_s = timeout_s
        self.output, self.input, self.user, self.temp = (
            self.base / name for name in ("output", "input", "user", "temp")
        )
        self.log = self.base / "server.log"
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        self._stack = contextlib.ExitStack()

    @property
    def url(self) -> str:
        return f"http://{self.address}:{self.port}"

    def __enter__(self) -> ComfyServer:
        with contextlib.ExitStack() as stack:
            stack.enter_context(termination_as_exit())
            stack.callback(self.stop)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _start(self) -> None:
        for folder in (self.output, self.input, self.user):
            folder.mkdir(parents=True, exist_ok=True)
        attempts = 1 if self.wanted_port else 3
        for attempt in range(attempts):
            self.port = free_port(self.wanted_port, self.address)
            self._spawn()
            try:
                self._wait()
                return
            except HostError:
                self.stop()
                # Someone took the port between our look and the server's bind.
                if attempt + 1 == attempts or "in use" not in self.log_tail(400):
                    raise

    def _spawn(self) -> None:
        command = [sys.executable, str(CHILD), str(os.getpid()), *self.command()]
        env = {**os.environ, "PYTHONUNBUFFERED": "1", **self.env}
        env.pop("PYTHONPATH", None)  # `nodes` would be ours instead of the host's
        for name in RAY_AUTH:
            env.pop(name, None)
        if not self.install.managed:
            env["PYTHONDONTWRITEBYTECODE"] = "1"  # nothing of ours stays in a user's install
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.base,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def command(self) -> list[str]:
        """The command line of the server."""
        on_gpu = self.install.has_cuda() if self.device == "auto" else self.device == "gpu"
        parts = [
            str(self.install.python),
            str(self.install.root / "main.py"),
            *("--listen", self.address, "--port", str(self.port)),
            *(() if on_gpu else ("--cpu",)),
            *("--disable-api-nodes", "--disable-auto-launch"),
            *("--database-url", f"sqlite:///{self.base / 'comfyui.db'}"),
            *("--user-directory", str(self.user)),
            *("--output-directory", str(self.output)),
            *("--temp-directory", str(self.base)),  # the host appends "temp"
            *("--input-directory", str(self.input)),
        ]
        if self.only_pack:
            packs = [LINK_NAME, *(p.name for folder in self.custom_nodes for p in folder.iterdir())]
            parts += ["--disable-all-custom-nodes", "--whitelist-custom-nodes", *packs]
        if self.custom_nodes or self.own_loras:
            parts += ["--extra-model-paths-config", str(self._write_extra_paths())]
        return [*parts, *self.extra_args]

    def _write_extra_paths(self) -> Path:
        # JSON is YAML, so paths need no quoting rules of our own.
        folders: dict[str, dict[str, Any]] = {
            f"packs_{i}": {"custom_nodes": str(path)} for i, path in enumerate(self.custom_nodes)
        }
        if self.own_loras:
            folders["trained"] = {"loras": str(self.base / "loras"), "is_default": True}
        path = self.base / "extra_paths.yaml"
        path.write_text(json.dumps(folders), encoding="utf-8")
        return path

    def _wait(self) -> None:
        deadline = time.monotonic() + self.timeout_s
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                code = self.process.returncode if self.process else None
                raise HostError(f"ComfyUI stopped while starting (exit {code}).{self._why()}")
            if self.system_stats() is not None:
                return
            time.sleep(0.1)
        raise HostError(f"ComfyUI did not answer within {self.timeout_s:.0f} s.{self._why()}")

    def system_stats(self) -> dict[str, Any] | None:
        """What `/system_stats` answers, or None while the server does not."""
        try:
            with _open(f"{self.url}/system_stats", timeout=5) as reply:
                stats: dict[str, Any] = json.load(reply)
                return stats
        except (OSError, urllib.error.URLError, ValueError):
            return None

    def log_tail(self, characters: int = 3000) -> str:
        """The end of the server's log."""
        try:
            return self.log.read_text(encoding="utf-8", errors="replace")[-characters:].strip()
        except OSError:
            return ""

    def _why(self) -> str:
        tail = self.log_tail()
        hint = ""
        if "ModuleNotFoundError" in tail and not self.install.managed:
            hint = (
                f"\n{self.install.python} lacks packages of that ComfyUI. "
                "Name the Python that runs it in COMFYUI_PYTHON."
            )
        return f" The end of {self.log}:\n{tail}{hint}"

    def wait(self) -> int:
        """Block until the server ends by itself; its exit status."""
        assert self.process is not None
        return self.process.wait()

    def kill(self) -> None:
        """End the server and what it started at once, as when the power goes."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def restart(self) -> None:
        """Start a killed server again at its address, without waiting until it answers."""
        self._spawn()

    def stop(self) -> None:
        """End the server and everything it started; safe to call twice."""
        process, self.process = self.process, None
        if process is None:
            return
        for sign, patience_s in ((signal.SIGINT, 8.0), (signal.SIGKILL, 10.0)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience_s)
                break
        # The server itself is gone; what it started may not be.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def free_port(wanted: int | None = None, address: str = LOOPBACK) -> int:
    """`wanted` if it is free, else any free port of `address`."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, wanted or 0))
        except OSError as error:
            if wanted:
                raise HostError(
                    f"Port {wanted} is in use ({error.strerror}). Stop the program that holds it, "
                    "or choose another with PORT=."
                ) from error
            raise HostError(f"No free port on {address}: {error.strerror}.") from error
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def termination_as_exit() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind the stack like Ctrl-C does, so that servers are stopped.

    A script's background job starts with SIGINT ignored; a server must not outlive Ctrl-C there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    wanted = [
        (signal.SIGTERM, signal.SIG_DFL, leave),
        (signal.SIGHUP, signal.SIG_DFL, leave),
        (signal.SIGINT, signal.SIG_IGN, signal.default_int_handler),
    ]
    changed = [
        (number, signal.signal(number, handler))
        for number, former, handler in wanted
        if signal.getsignal(number) == former
    ]
    try:
        yield
    finally:
        for number, former in changed:
            signal.signal(number, former)
