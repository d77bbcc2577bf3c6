"""Models that cannot take anchors: every class of the host is named, and told what to load."""

from __future__ import annotations

import ast

import pytest

from fvg_core.backbones import BACKBONES, MODELS
from fvg_core.backbones.refused import WHY, refusal


@pytest.fixture(scope="module")
def classes(install) -> dict[str, set[str]]:
    """The host's model classes, each with all classes that it comes from."""
    tree = ast.parse((install.root / "comfy" / "model_base.py").read_text())
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for node in tree.body
        if isinstance(node, ast.ClassDef)
    }

    def ancestors(name: str) -> set[str]:
        return {name}.union(*(ancestors(base) for base in bases.get(name, ())))

    return {name: found for name in bases if "BaseModel" in (found := ancestors(name))}


def test_every_class_of_the_host_is_ours_or_has_its_reason(classes):
    assert len(classes) > 60
    assert not classes.keys() - BACKBONES.keys() - WHY.keys()
    assert not WHY.keys() - classes.keys()


def test_every_variant_of_wan_has_a_reason_of_its_own(classes):
    variants = {name for name, found in classes.items() if "WAN21" in found} - BACKBONES.keys()
    assert len(variants) == 10
    assert len({WHY[name] for name in variants}) >= 9  # the two SCAILs are alike
    assert not any("another family" in WHY[name] for name in variants)


@pytest.mark.parametrize("name", [*sorted(WHY), "ModelOfTomorrow"])
def test_a_refusal_says_what_was_given_and_what_to_load(name):
    said = refusal(name)
    assert f"the MODEL is {name}: " in said
    assert all(spec.name in said for spec in MODELS)


def test_an_image_model_is_sent_to_the_image_generator():
    assert "Anchor Image Generator" in refusal("QwenImage")
    assert "Anchor Image Generator" not in refusal("LTXV")
