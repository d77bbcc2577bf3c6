"""Checks on a finished rewrite. They read the output again; they do not trust the writer."""

from .lexicon import lexicon
from .phrases import NounPhrase, Phrase
from .tagger import tag
from .tokens import tokenise

EXTRA_WORDS = 25  # pose, position and poise words that the rules may add
LEFT_OVER = frozenset({"motion", "action", "change", "result"})


def check(prompt: list[Phrase], output: str, dropped: list[NounPhrase]) -> list[dict]:
    """Every check as {name, passed, detail}; `dropped` only exists later."""
    framing = lexicon()["framing"] | lexicon()["lead"]
    nouns = [part for p in prompt if isinstance(p, NounPhrase) for part in p.all]
    gone = {id(np) for np in dropped}
    nouns = [n for n in nouns if n.head not in framing and not n.camera and id(n) not in gone]
    words = [t.lower for t in tokenise(output)]
    return [
        _verdict("entities", [np.head for np in nouns if np.head not in words]),
        _verdict("counts", [np.text for np in nouns if not _counted(np, words)]),
        _verdict("attributes", [w for np in nouns for w in np.attributes if w not in words]),
        _verdict("no motion", motion_words(output)),
        _verdict("one paragraph", [] if output and "\n" not in output else [output]),
        _length(prompt, words),
        _english(prompt),
    ]


def _verdict(name: str, problems: list[str]) -> dict:
    return {"name": name, "passed": not problems, "detail": ", ".join(problems)}


def _counted(np: NounPhrase, words: list[str]) -> bool:
    """A stated number still stands in front of its noun."""
    numbers = {t.lower for t in np.tokens if t.tag == "num" and t.lower != np.head}
    places = [i for i, word in enumerate(words) if word == np.head]
    return not numbers or any(numbers <= set(words[max(0, i - 6) : i]) for i in places)


def motion_words(output: str) -> list[str]:
    """Words of motion, of later states or of the camera that a second reading finds."""
    found = []
    for token in tag(tokenise(output)):
        verb = lexicon().verbs.get(token.lower)
        moving = token.tag == "verb" and (verb is None or verb.kind in LEFT_OVER)
        if moving or token.tag in ("later", "until"):
            found.append(token.lower)
    return found


def _length(prompt: list[Phrase], words: list[str]) -> dict:
    limit = sum(len(p.text.split()) for p in prompt) + EXTRA_WORDS
    size = len(" ".join(words).split())
    passed = 1 <= size <= limit
    return {"name": "length", "passed": passed, "detail": f"{size} words, limit {limit}"}


def _english(prompt: list[Phrase]) -> dict:
    letters = [c for p in prompt for c in p.text if c.isalpha()]
    foreign = sum(not c.isascii() for c in letters)
    passed = 2 * foreign <= len(letters)
    detail = "" if passed else "the rules read English; other languages pass nearly unchanged"
    return {"name": "english", "passed": passed, "detail": detail}
