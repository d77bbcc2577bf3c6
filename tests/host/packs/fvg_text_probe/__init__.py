"""Texts into a graph as a list, and out of it."""

from __future__ import annotations

import json


class Texts:
    CATEGORY = "test"
    INPUT_TYPES = classmethod(lambda cls: {"required": {"texts": ("STRING", {"default": "[]"})}})
    RETURN_TYPES = ("STRING",)
    OUTPUT_IS_LIST = (True,)
    FUNCTION = "run"

    def run(self, texts: str):
        return (json.loads(texts),)


class ShowTexts:
    CATEGORY = "test"
    INPUT_TYPES = classmethod(lambda cls: {"required": {"text": ("STRING", {"forceInput": True})}})
    RETURN_TYPES = ()
    INPUT_IS_LIST = True
    OUTPUT_NODE = True
    FUNCTION = "run"

    def run(self, text: list[str]):
        return {"ui": {"texts": text}}


NODE_CLASS_MAPPINGS = {"FVGTestTexts": Texts, "FVGTestShowTexts": ShowTexts}
