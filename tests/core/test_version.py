"""One version: what LoRA files are marked with is what is packaged."""

import re
from pathlib import Path

from fvg_core import __version__

PYPROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def test_the_package_and_its_metadata_agree():
    (packaged,) = re.findall(r'^version = "(.+)"$', PYPROJECT.read_text(), re.MULTILINE)
    assert packaged == __version__
