"""Find a Chromium for the browser tests, or install Debian's. Standard library only."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from dev.packages import say

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
REMEDY = (
    "Install it (Debian, Ubuntu: apt install chromium) or set CHROMIUM to a Chromium or Chrome."
)


def find_chromium() -> Path | None:
    """The browser to test with: $CHROMIUM, one on the PATH, or none."""
    named = os.environ.get("CHROMIUM")
    if named:
        return Path(named) if os.access(named, os.X_OK) else None
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return Path(found) if found else (MAC if MAC.exists() else None)


def ensure_chromium() -> None:
    """Install Debian's Chromium where that is possible; say what to do where it is not."""
    if find_chromium():
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        say(f"No Chromium, so the browser tests will not run. {REMEDY}")
        return
    say("Installing Chromium for the browser tests")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        done = subprocess.run(
            ["apt-get", "-qq", *command], env=env, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            say(f"apt-get {command[0]} failed: {done.stderr.strip()[-300:]}\n{REMEDY}")
            return
