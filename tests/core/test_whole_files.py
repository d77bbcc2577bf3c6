"""Files appear whole or not at all, also when the process is killed in the middle of a write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fvg_core.errors import DataError
from fvg_core.files import write_whole

ROOT = Path(__file__).resolve().parents[2]
SIZE = 64 * 2**20
CHILD = """
import itertools, sys
from pathlib import Path
from fvg_core.files import write_whole
print("ready", flush=True)
for letter in itertools.cycle([b"a", b"b"]):
    write_whole(Path(sys.argv[1]), letter * int(sys.argv[2]))
"""


@pytest.mark.parametrize("wait", [0.4, 0.77])
def test_a_kill_leaves_the_old_file_or_the_new_one(tmp_path: Path, wait: float):
    path = tmp_path / "file"
    write_whole(path, b"a" * SIZE)
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(SIZE)],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    time.sleep(wait)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert path.read_bytes() in (b"a" * SIZE, b"b" * SIZE)


def test_a_folder_that_cannot_be_written(tmp_path: Path):
    (tmp_path / "file").write_bytes(b"in the way of a folder")
    with pytest.raises(DataError, match=r"could not write x \(3 bytes\) into .*file"):
        write_whole(tmp_path / "file" / "x", b"abc")
