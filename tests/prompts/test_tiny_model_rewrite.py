"""A tiny real model of the Qwen2 family, loaded from a folder, rewrites."""

from pathlib import Path

import pytest
import tiny_rewriter as tiny

from fvg_core.llm import open_folder
from fvg_core.prompts import Instructions, Options, Rewriting, rewrite_many


@pytest.fixture(scope="module")
def how(tmp_path_factory) -> Rewriting:
    folder = tiny.save(tmp_path_factory.mktemp("llm") / "Tiny-Rewriter")
    told = tmp_path_factory.mktemp("prompts")
    (told / "first_frame.txt").write_text(tiny.INSTRUCTION)
    options = Options(rules_as_fallback=True, **tiny.BOUNDS)
    opened = lambda: open_folder(folder, "fp32")
    return Rewriting("transformers", opened, options, Instructions(told))


def test_it_writes_what_it_learned_for_a_list(how):
    made = rewrite_many([tiny.PROMPT] * 2, [3, 3], how)
    assert [each[0].first_frame_prompt for each in made] == [tiny.TEXT] * 2
    report = made[0][0].report
    assert report["written_by"] == "transformers"
    assert report["model"] == "transformers: Tiny-Rewriter"
    assert [e["noun"] for e in report["entities"]] == ["ball", "table"]
    assert all(check["passed"] for check in report["checks"])


def test_what_it_never_learned_is_the_rules_and_the_same_twice(how):
    prompt = "Two brown dogs run across a snowy field."
    first, second = (rewrite_many([prompt], [0], how)[0][0] for _ in range(2))
    assert first.first_frame_prompt == second.first_frame_prompt
    assert first.report["attempts"] == second.report["attempts"]
    assert (first.report["written_by"], len(first.report["attempts"])) == ("rules", 3)


def test_the_path_of_the_model_is_in_no_report(how, tmp_path: Path):
    kept = Rewriting(how.backend, how.open_model, how.options, how.instructions, tmp_path)
    made = rewrite_many([tiny.PROMPT], [3], kept)
    (file,) = tmp_path.iterdir()
    assert made[0][0].first_frame_prompt in file.read_text()
    assert "Tiny-Rewriter" in file.read_text()
    assert "/" not in made[0][0].report["model"]
