"""What the figures were measured on, without naming the machine."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

from dev.host import Install

VERSIONS = "import sys, torch; print(sys.version.split()[0], torch.__version__)"
GPU = "import torch; print(torch.cuda.get_device_name())"


def describe(install: Install) -> dict[str, Any]:
    """CPU, GPU, memory and versions; the load says how quiet it was when we began."""
    versions = _ask(install, VERSIONS)
    python, torch = versions.split() if versions else (platform.python_version(), "unknown")
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu_model(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_gb": _memory_gb(),
        "gpu": _ask(install, GPU) if install.has_cuda() else None,
        "load_average": round(os.getloadavg()[0], 2),
        "system": platform.system(),
        "python": python,
        "torch": torch,
        "comfyui": install.version_text(),
    }


def _ask(install: Install, code: str) -> str | None:
    command = [str(install.python), "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def _cpu_model() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return match.group(1).strip() if match else platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, ValueError, OSError):
        return None
