"""The page of rewriting scores."""

from benchmarks.rewriter import page
from fvg_core.categories import CATEGORIES
from fvg_core.prompts import Rewriting
from fvg_core.prompts.scoring import score, summary
from fvg_core.prompts.suite import read_suite


def test_the_page_has_every_row_and_what_went_wrong():
    scored, _ = score(read_suite(), Rewriting())
    found = summary(scored)
    row = {
        "headline": "rules: 140 prompts in 1.0 s",
        "seed": 0,
        "commit": "abc",
        "machine": {"cpu": "a CPU", "gpu": None},
        "scores": found,
    }
    text = page({"date": "2026-01-02", "rows": {"rules": row}})
    for name in ("all", "half tuned", "half held_out", *CATEGORIES):
        assert f"| {name} | {found[name]['prompts']} | {found[name]['entities']:.3f} |" in text
    assert all(f"- {line}" in text for line in found["wrong"])
    assert "GPU: none" in text
