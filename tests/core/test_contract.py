"""What `docs/backbones.md` promises: a new row in the table is tested without anyone asking."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEW = "A family of tomorrow"  # in one_more_row.py, which only those processes import
CONTRACTS = (
    "tests/core/test_backbones.py",
    "tests/core/test_models_table.py",
    "tests/host/test_real_shapes.py",
    "tests/host/test_templates_run.py",
)
WITHOUT_SERVER = (
    "test_every_model_of_the_table_is_in_a_template",
    "test_a_model_is_sampled_as_its_authors_do_alone_or_as_a_pair",
)


def pytest_with_the_row(*arguments: str) -> str:
    """What pytest prints in a process whose table has the row."""
    command = [sys.executable, "-m", "pytest", "-p", "tests.one_more_row", "-q", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    return done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_a_new_row_is_picked_up_and_fails_until_its_family_is_there() -> None:
    collected = pytest_with_the_row("--collect-only", *CONTRACTS)
    picked = {line.split("::")[0] for line in collected.splitlines() if f"[{NEW}]" in line}
    assert picked == set(CONTRACTS), collected
    said = pytest_with_the_row("-k", " or ".join(WITHOUT_SERVER), *CONTRACTS)
    failed = re.findall(rf"FAILED .*::(\w+)\[{NEW}\]", said)
    assert sorted(failed) == sorted(WITHOUT_SERVER), said
