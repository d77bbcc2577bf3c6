"""The server starts where it should, says why it does not, and leaves nothing behind."""

import dataclasses
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dev.host import LINK_NAME, PACK, Install
from dev.server import ComfyServer, free_port
from fvg_core.errors import HostError

pytestmark = [pytest.mark.host, pytest.mark.timeout(300)]

HOLD = """
import sys, time
from pathlib import Path
from dev.host import prepare
from dev.server import ComfyServer
server = ComfyServer(prepare(), Path(sys.argv[1]), only_pack=True)
start = server._spawn
def tell():
    start()
    print(server.process.pid, flush=True)
server._spawn = tell
with server:
    print("ready", flush=True)
    time.sleep(300)
"""


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("number", "ready", "code", "shell"),
    [
        (signal.SIGINT, True, -signal.SIGINT, ""),
        # As a job that a script put into the background.
        (signal.SIGINT, True, -signal.SIGINT, "trap '' INT;"),
        (signal.SIGTERM, False, 128 + signal.SIGTERM, ""),
        (signal.SIGTERM, True, 128 + signal.SIGTERM, ""),
        (signal.SIGKILL, True, -signal.SIGKILL, ""),
    ],
)
def test_no_process_survives(
    number: int, ready: bool, code: int, shell: str, tmp_path: Path
) -> None:
    holder = subprocess.Popen(
        ["sh", "-c", f'{shell} exec "$0" "$@"', sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=PACK,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert holder.stdout is not None
        server = int(holder.stdout.readline())
        if ready:
            assert holder.stdout.readline() == "ready\n"
        assert alive(server)
        holder.send_signal(number)
        assert holder.wait(30) == code
        assert gone_within(server, 5)
    finally:
        holder.kill()
        holder.wait()


def test_port_in_use_is_named(install: Install, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(HostError, match=f"Port {port} is in use"),
            ComfyServer(install, tmp_path, port=port),
        ):
            pass


def test_wanted_port_is_used() -> None:
    port = free_port()
    assert free_port(port) == port


def test_a_machine_without_free_ports_is_named() -> None:
    """In a network of its own with a single port, which is taken."""
    inside = (
        "import socket; from dev.server import free_port; taken = socket.socket(); "
        "taken.bind(('127.0.0.1', 50000)); taken.listen(); free_port()"
    )
    one_port = "echo 50000 50000 > /proc/sys/net/ipv4/ip_local_port_range"
    command = ["unshare", "-rn", "sh", "-c", f'{one_port} && exec "$0" -c "$1"']
    if subprocess.run([*command, sys.executable, ""], capture_output=True).returncode:
        pytest.skip("this machine does not allow network namespaces")
    tried = subprocess.run(
        [*command, sys.executable, inside], cwd=PACK, capture_output=True, text=True, check=False
    )
    assert "HostError: No free port on 127.0.0.1" in tried.stderr


def test_server_that_cannot_start_says_why(install: Install, tmp_path: Path) -> None:
    server = ComfyServer(install, tmp_path, extra_args=("--no-such-option",))
    with pytest.raises(HostError, match=r"(?s)stopped while starting.*--no-such-option"), server:
        pass
    assert server.process is None


def test_python_of_another_program_is_explained(install: Install, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "v"], check=True)
    theirs = dataclasses.replace(install, python=tmp_path / "v" / "bin" / "python", managed=False)
    server = ComfyServer(theirs, tmp_path / "base", device="cpu")
    with pytest.raises(HostError, match=r"(?s)No module named.*COMFYUI_PYTHON"), server:
        pass


def test_loopback_only(comfy: ComfyServer) -> None:
    assert comfy.url.startswith("http://127.0.0.1:")
    outside = {
        info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, family=socket.AF_INET)
    } - {"127.0.0.1"}
    for address in outside:
        if address.startswith("127."):
            continue
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((address, comfy.port)) != 0


def test_pack_is_loaded_without_error(comfy: ComfyServer) -> None:
    log = comfy.log.read_text()
    assert LINK_NAME in log
    assert "IMPORT FAILED" not in log
