"""A ComfyUI on each GPU of a Ray cluster, for as long as a batch runs.

Ray places the workers, watches them, and starts one anew that has ended; nothing here schedules.
"""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import re
import shutil
import signal
import socket
import stat
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dev.host import PACK, Install, existing_install
from dev.server import LOOPBACK, RAY_AUTH, ComfyServer, termination_as_exit
from fvg_core.errors import BatchError, HostError

START_S = 600.0  # for what the cluster is busy with, and for a cold start
ANSWER_S = 5.0  # for a worker to say where it is
AGAIN_S = 30.0  # before a worker that Ray has started again, in vain, asks for one more start
LOOK_S = 0.5  # between looks whether a ComfyUI and its node are there
STOP_S = 20.0
TOKEN = uuid.uuid4().hex  # one for all, because Ray keeps the first that a process has used
OBJECT_STORE = 80 << 20  # bytes, about the least; nothing of ours goes through it


class Worker:
    """The ComfyUI of an actor. They end together, so that Ray sees it and starts both anew.

    `root` and `python` are the client's own; `COMFYUI` on the worker's node counts more. On the
    client's node it listens on loopback, elsewhere on the address by which Ray knows the node.
    """

    def __init__(self, name: str, client_node: str, root: Path, python: Path, gpu: bool) -> None:
        self.base = Path(tempfile.gettempdir()) / name
        self.problem: HostError | None = None  # of a first start; a later one ends the actor
        self._stopping = False
        self._stack = contextlib.ExitStack()
        if gpu:  # Ray counts it as one CPU, and would have torch use one thread
            os.environ.pop("OMP_NUM_THREADS", None)
        device = "gpu" if gpu else "cpu"
        try:
            install, address = install_here(root, python), listening(client_node)
            own_folder(self.base)
            self._stack.callback(shutil.rmtree, self.base, ignore_errors=True)
            self.server = ComfyServer(install, self.base, device=device, address=address)
            self._stack.enter_context(self.server)
        except HostError as error:
            if _started_again():  # nobody asks for the problem any more
                print(error, file=sys.stderr, flush=True)
                time.sleep(AGAIN_S)
                os._exit(1)
            self.problem = error
            return
        threading.Thread(target=self._end_together, daemon=True).start()

    def _end_together(self) -> None:
        # Ray takes its own dead node for alive where nobody reaps it, as in some containers.
        comfy, node = self.server.process, os.getppid()
        assert comfy is not None  # it has started
        while comfy.poll() is None and os.getppid() == node:
            time.sleep(LOOK_S)
        if not self._stopping:
            self.server.stop()
            os._exit(1)

    def url(self) -> str:
        """Where it answers; HostError if it did not start."""
        if self.problem is not None:
            raise self.problem
        return self.server.url

    def stop(self) -> None:
        self._stopping = True
        self._stack.close()


def _started_again() -> bool:
    import ray

    return bool(ray.get_runtime_context().was_current_actor_reconstructed)


def own_folder(path: Path) -> None:
    """Make `path`, or leave it as it is; HostError if it is not a folder of ours.

    In a folder that all share, anybody may have made it before.
    """
    with contextlib.suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise HostError(
            f"{path} is there already, and is not a folder of the user who runs Ray. Remove it, or "
            "start this node with TMPDIR=/another/folder ray start ..."
        )


def install_here(root: Path, python: Path, environ: Mapping[str, str] = os.environ) -> Install:
    """The ComfyUI of this node."""
    if environ.get("COMFYUI"):
        return existing_install(Path(environ["COMFYUI"]), environ)
    if not root.exists():
        raise HostError(
            f"There is no {root}, which is the client's ComfyUI. Put it there too, or start this "
            "node with COMFYUI=/path/to/ComfyUI ray start ..."
        )
    return existing_install(root, {**environ, "COMFYUI_PYTHON": str(python)})


def listening(client_node: str) -> str:
    """The address of this node that the client can reach, and nobody else where it can be."""
    import ray

    here = ray.get_runtime_context().get_node_id()
    address: str = LOOPBACK if here == client_node else ray.util.get_node_ip_address()
    return address


def resources(cluster: Mapping[str, float], count: int | None) -> tuple[int, dict[str, float]]:
    """How many workers, and what Ray is to set aside for each.

    One on each GPU, or `count` on so many; on a cluster without GPUs, `count` on a CPU each.
    """
    gpus, cpus = int(cluster.get("GPU", 0)), int(cluster.get("CPU", 0))
    if not gpus and count is None:
        raise BatchError(
            "The Ray cluster has no GPU. To run on CPUs all the same, say on how many: "
            "--ray-workers 2."
        )
    kind, there = ("GPUs", gpus) if gpus else ("CPUs", cpus)
    if (count or gpus) > there:
        raise BatchError(f"--ray-workers {count} is too much: the Ray cluster has {there} {kind}.")
    return count or gpus, {"num_cpus": 1, "num_gpus": int(gpus > 0)}


class Fleet:
    """Workers that run. `urls` are where they were at first, and what they are called by."""

    def __init__(self, actors: dict[str, Any]) -> None:
        self.actors = actors

    @property
    def urls(self) -> tuple[str, ...]:
        return tuple(self.actors)

    def where(self, url: str) -> str:
        """Where the worker that was at `url` is by now, as far as it says."""
        import ray

        if url not in self.actors:
            return url
        try:
            now: str = ray.get(self.actors[url].url.remote(), timeout=ANSWER_S)
            return now
        except ray.exceptions.RayError:  # on its way back, or gone for good
            return url


@contextlib.contextmanager
def workers(install: Install, address: str, count: int | None) -> Iterator[Fleet]:
    """Workers on the cluster at `address` ("local" for one on this machine alone)."""
    with joined(address) as ray, termination_as_exit():
        number, each = resources(ray.cluster_resources(), count)
        kind = ray.remote(Worker).options(**each, max_restarts=-1)
        node, batch = ray.get_runtime_context().get_node_id(), uuid.uuid4().hex[:8]
        gpu = each["num_gpus"] > 0
        print(f"Starting {number} ComfyUI on Ray", file=sys.stderr, flush=True)
        actors = [
            kind.remote(f"fvg-ray-{batch}-{i}", node, install.root, install.python, gpu)
            for i in range(number)
        ]
        fleet = _started(ray, actors)
        try:
            yield fleet
        finally:
            ray.wait([a.stop.remote() for a in actors], num_returns=number, timeout=STOP_S)


def _started(ray: Any, actors: list[Any]) -> Fleet:
    """Those that start in time; the others are said. HostError if none does."""
    asked = {actor.url.remote(): actor for actor in actors}
    ready, late = ray.wait(list(asked), num_returns=len(asked), timeout=START_S)
    problems = [f"{len(late)} did not start within {START_S:.0f} s"] if late else []
    running, failed = {}, []
    for one in ready:
        try:
            running[ray.get(one)] = asked[one]
        except ray.exceptions.RayError as error:
            problems.append(str(getattr(error, "cause", None) or error))
            failed.append(one)
    for one in (*late, *failed):  # or they keep their GPUs
        ray.kill(asked[one])
    if not running:
        raise HostError(f"No ComfyUI started on Ray: {problems[0]}.")
    for problem in problems:
        print(f"Going on without one worker: {problem}", file=sys.stderr)
    return Fleet(running)


@contextlib.contextmanager
def joined(address: str) -> Iterator[Any]:
    """The module ray, connected. A cluster for "local" ends with the context, as all actors do."""
    if not re.fullmatch(r"local|auto|[\w.-]+:\d+", address):
        raise BatchError(f"--ray {address!r} is not understood; expected local, auto or host:port.")
    if importlib.util.find_spec("ray") is None:
        raise BatchError(
            "--ray needs the package ray (the extra `ray`), which is not installed: "
            "pip install 'ray>=2.60'"
        )
    _knock(address)
    with contextlib.ExitStack() as stack:
        own = _of_ones_own(stack) if address == "local" else {}
        import ray

        # The nodes need the code of this folder and its errors, whatever they have of the pack.
        code = {"py_modules": [str(PACK / "dev"), str(PACK / "fvg_core")]}
        stack.callback(ray.shutdown)
        try:
            ray.init(
                address,
                runtime_env={**code, "excludes": ["*.safetensors"]},
                log_to_driver=False,
                logging_level=logging.ERROR,
                **own,
            )
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise _not_joined(address, error) from error
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray's handler prints a trace and exits
        yield ray


def _of_ones_own(stack: contextlib.ExitStack) -> dict[str, Any]:
    """What ray.init is told for a cluster of this machine alone.

    Its ports are open to the network whatever it is told, so they ask for a word nobody knows.
    """
    stack.enter_context(environment(dict(zip(RAY_AUTH, ("token", TOKEN), strict=True))))
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="fvg-ray-"))
    own: dict[str, Any] = {"_temp_dir": folder, "object_store_memory": OBJECT_STORE}
    return {**own, "include_dashboard": False, "_node_ip_address": LOOPBACK}


@contextlib.contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """`values` in os.environ; afterwards there is what was there before."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _knock(address: str) -> None:
    """Refuse an address where nothing listens, for which Ray would wait some minutes."""
    host, sign, port = address.partition(":")
    if sign:
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except (OSError, OverflowError) as error:
            raise _not_joined(address, error) from error


def _not_joined(address: str, error: Exception) -> HostError:
    why = str(error).strip().rstrip(".")
    return HostError(
        f"Cannot join the Ray cluster {address!r}: {why}. Is it started (ray start), and is this "
        "machine part of it?"
    )
