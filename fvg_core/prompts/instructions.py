"""What a language model is told: text files that a user can read, and override by the same name.

first_frame.txt, plain.txt, upsampled.txt, motion_only.txt are instructions, with $style,
$language, $min_words, $max_words and $variation filled in; style-<name>.txt are style presets;
variations.txt has one line for each further version.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template

from ..errors import PromptError

OWN = Path(__file__).parent / "instructions"
NO_STYLE = "none"
STYLE = "style-"
LONGEST = 20_000  # characters of one file


class Instructions:
    """The pack's own files, and over them those of `folder`, where a user keeps theirs."""

    def __init__(self, folder: Path | None = None) -> None:
        self._files = {path.stem: path for path in sorted(OWN.glob("*.txt"))}
        if folder is not None and folder.is_dir():
            self._files |= {path.stem: path for path in sorted(folder.glob("*.txt"))}

    @property
    def styles(self) -> list[str]:
        named = [name.removeprefix(STYLE) for name in self._files if name.startswith(STYLE)]
        return [NO_STYLE, *sorted(named)]

    def style(self, name: str) -> str:
        """One sentence that describes the style; empty for "none"."""
        if name == NO_STYLE:
            return ""
        if name not in self.styles:
            raise PromptError(
                f"there is no style {name!r}; there are {', '.join(self.styles)}. A file "
                f"{STYLE}<name>.txt in the folder of prompts makes one."
            )
        return self.text(STYLE + name)

    def text(self, name: str) -> str:
        """The file's text. Raises PromptError if it cannot be read, is empty or too long."""
        path = self._files[name]
        try:
            text = path.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise PromptError(
                f"the instruction file {path.name} cannot be read ({error}). Save it as UTF-8 "
                "text, or delete it to use the pack's own."
            ) from error
        if not 0 < len(text) <= LONGEST:
            raise PromptError(
                f"the instruction file {path.name} has {len(text)} characters; 1 to {LONGEST} "
                "are expected. Shorten it, or delete it to use the pack's own."
            )
        return text

    def filled(self, name: str, values: Mapping[str, object]) -> str:
        """The instruction with its $words filled in; any other $ stays as it is."""
        return Template(self.text(name)).safe_substitute(values).strip()

    def variation(self, number: int) -> str:
        """What makes version `number` differ; empty for 0, the first."""
        if number == 0:
            return ""
        lines = [line.strip() for line in self.text("variations").splitlines()]
        lines = [line for line in lines if line and not line.startswith("#")] or [""]
        return lines[(number - 1) % len(lines)]

    def everything(self) -> dict[str, str]:
        """All texts by name: what a result on disk depends on."""
        return {name: self.text(name) for name in sorted(self._files)}
