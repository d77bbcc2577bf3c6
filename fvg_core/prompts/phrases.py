"""Tagged words to phrases: noun phrases, verb groups and the small words between them."""

from dataclasses import dataclass, field

from .left import is_plural
from .lexicon import Verb, lexicon
from .tokens import Token
from .types import Entity

NOUN_TAGS = frozenset({"det", "poss", "num", "adj", "ing-adj", "noun"})
DEEPEST = 8  # "a photo of a bowl of ..." nests no further
SHOWS = frozenset({"show", "display", "feature"})  # "opens to show a crimson heart"
PHASE_LINKS = frozenset({"to", "adv", "neg", "aux", "be"})


@dataclass
class Phrase:
    """One unit of a sentence; `kind` is np, verb, adj or the tag of a single word."""

    kind: str
    tokens: list[Token]

    @property
    def text(self) -> str:
        return " ".join(t.text for t in self.tokens)

    @property
    def word(self) -> str:
        return self.tokens[-1].lower


@dataclass
class NounPhrase(Phrase):
    head: str = ""
    tail: "NounPhrase | None" = None  # "a bowl" of "fruit"
    gained: list[str] = field(default_factory=list)  # attributes learned from "changes from X"

    @property
    def determiner(self) -> str:
        return self.tokens[0].lower if self.tokens[0].tag in ("det", "poss", "num") else ""

    @property
    def definite(self) -> bool:
        return self.determiner in ("the", "that", "this")

    @property
    def attributes(self) -> tuple[str, ...]:
        own = [t.lower for t in self.kept if t.tag in ("adj", "ing-adj", "noun")]
        if own and own[-1] == self.head:  # it is not where a number is: "an elderly couple"
            own.pop()
        return (*self.gained, *own)

    @property
    def kept(self) -> list[Token]:
        """Without the words of motion before the noun: "a running dog" is a dog at t = 0."""
        pairs = zip(self.tokens, [*self.tokens[1:], self.tokens[-1]], strict=True)
        return [t for t, after in pairs if t is after or not is_motion_word(t, after)]

    @property
    def text(self) -> str:
        words = [t.text for t in self.kept]
        if self.gained:
            words[-1:-1] = self.gained
        if words and words[0].lower in ("a", "an") and len(words) > 1:
            changed = self.gained or len(self.kept) < len(self.tokens)
            words[0] = article(words) if changed else words[0]
        own = " ".join(words)
        return f"{own} of {self.tail.text}" if self.tail else own

    @property
    def all(self) -> list["NounPhrase"]:
        return [self, *(self.tail.all if self.tail else [])]

    @property
    def count(self) -> int:
        """As stated; 1 for a singular with an article, 0 where no number is said."""
        numbers = lexicon().numbers
        for token in self.tokens:
            if token.tag == "num" and token.lower != self.head:  # but "an elderly couple"
                value = token.lower.replace(",", "")
                whole = value.isdecimal() and len(value) < 10
                return int(value) if whole else numbers.get(value, 0)
        if self.determiner in ("a", "an", "another", "one", "each", "this", "that"):
            return 1
        return 1 if self.determiner and not is_plural(self.head) else 0

    @property
    def camera(self) -> bool:
        """ "the camera", "a slow dolly-in", "an airborne dolly movement"."""
        cameras = lexicon()["camera_noun"]
        if self.head == "pan":  # or a thing to cook with
            return any(t.lower in lexicon()["camera_adjective"] for t in self.tokens)
        moves = self.head in ("movement", "move", "motion", "work")
        return self.head in cameras or (moves and any(t.lower in cameras for t in self.tokens))

    @property
    def animate(self) -> bool:
        people = lexicon()["animate"]
        heads = {form for np in self.all for form in (np.head, np.head.removesuffix("s"))}
        return self.head.endswith(("man", "woman", "boarder")) or bool(heads & people)

    def entity(self, position: str | None = None) -> Entity:
        own = NounPhrase(self.kind, self.tokens, self.head, None, self.gained).text
        return Entity(own, self.head, self.count, self.attributes, position)


@dataclass
class VerbPhrase(Phrase):
    lemma: str = ""
    event: str = "action"  # static, copula, change, result, action or motion
    flags: dict[str, str] = field(default_factory=dict)
    negated: bool = False
    passive: bool = False

    @property
    def moves(self) -> bool:
        return self.event == "motion"


def article(words: list[str]) -> str:
    chosen = "an" if words[1][0].lower() in "aeiou" else "a"
    return chosen.capitalize() if words[0][0].isupper() else chosen


def is_motion_word(token: Token, after: Token) -> bool:
    lex = lexicon()
    if token.lower in lex["camera_modifier"]:
        return True
    if token.tag != "ing-adj" or f"{token.lower} {after.lower}" in lex.pairs:
        return False
    verb = lex.verbs.get(token.lower)
    if verb is not None and verb.lemma in lex["sport"] and after.lower in lex["equipment"]:
        return False  # "hiking boots"
    return verb is not None and verb.kind == "motion"


def read_phrases(tokens: list[Token]) -> list[Phrase]:
    phrases, i = [], 0
    while i < len(tokens):
        if tokens[i].tag in NOUN_TAGS or _describes(tokens, i):
            end = _noun_end(tokens, i)
            phrases.append(_noun_phrase(tokens[i:end]))
        elif tokens[i].tag in ("verb", "be", "aux", "to", "neg"):
            end = _verb_end(tokens, i)
            phrases.append(_verb_phrase(tokens[i:end]))
        else:
            end = i + 1
            phrases.append(Phrase(tokens[i].tag, tokens[i:end]))
        i = end
    return _attach_of(phrases)


def _describes(tokens: list[Token], i: int) -> bool:
    """ "brightly" in "a brightly lit street" or "softly glowing", read with its adjective."""
    return tokens[i].tag == "adv" and i + 1 < len(tokens) and tokens[i + 1].tag == "adj"


def _noun_end(tokens: list[Token], start: int) -> int:
    i, has_noun = start, False
    while i < len(tokens):
        tag, after = tokens[i].tag, tokens[i + 1].tag if i + 1 < len(tokens) else ""
        if tag in ("det", "num") or (tag == "poss" and not tokens[i].lower.endswith("'s")):
            if has_noun or (tag == "det" and i > start and tokens[i - 1].tag == "adj"):
                break  # "wrenches open the hydrant"
        elif tag in (",", "conj") and not has_noun:
            joins = tokens[i - 1].tag in ("adj", "ing-adj") and after in ("adj", "ing-adj", "noun")
            if not (joins and _noun_follows(tokens, i + 1)):
                break
        elif tag not in NOUN_TAGS:
            if has_noun or not _describes(tokens, i):
                break
        elif tag in ("adj", "ing-adj") and has_noun and not _noun_follows(tokens, i):
            break
        has_noun = has_noun or tag == "noun"
        i += 1
    return i


def _noun_follows(tokens: list[Token], i: int) -> bool:
    while i < len(tokens) and tokens[i].tag in ("adj", "ing-adj"):
        i += 1
    return i < len(tokens) and tokens[i].tag == "noun"


def _noun_phrase(tokens: list[Token]) -> Phrase:
    nouns = [t for t in tokens if t.tag in ("noun", "num")]
    if nouns:
        return NounPhrase("np", tokens, head=nouns[-1].lower)
    if tokens[-1].lower == "another":  # "hugs another"
        return NounPhrase("np", tokens, head="another")
    kind = "pron" if all(t.tag in ("det", "poss") for t in tokens) else "adj"
    return Phrase(kind, tokens)


def _verb_end(tokens: list[Token], start: int) -> int:
    """A verb group runs to its last verb: "does not move", "is about to jump", "begins to run"."""
    i, end = start, start + 1
    while i < len(tokens):
        tag = tokens[i].tag
        if tag == "verb":
            end = i + 1
            verb = lexicon().verbs.get(tokens[i].lower)
            keeps = i + 1 < len(tokens) and tokens[i + 1].tag == "verb"  # "keeps bouncing"
            if not (verb and (verb.kind == "phase" or (verb.lemma == "keep" and keeps))):
                break
        elif tag not in PHASE_LINKS:
            break
        i += 1
    return end


def _verb_phrase(tokens: list[Token]) -> Phrase:
    lex = lexicon()
    verbs = [t for t in tokens if t.tag == "verb"]
    negated = any(t.tag == "neg" or t.lower.endswith("n't") for t in tokens)
    if not verbs:
        first = tokens[0]
        if first.lower in ("has", "have", "had"):
            return VerbPhrase("verb", tokens, "have", "static")
        if first.tag == "be":
            return VerbPhrase("verb", tokens, "be", "copula", negated=negated)
        return Phrase("adv", tokens)
    form = verbs[-1].lower
    known = lex.verbs.get(form) or Verb(form, "action")
    aim = tokens[0].tag == "to" and known.kind == "static"  # "curls up to sleep"
    event = "action" if known.kind == "phase" or aim else known.kind
    event = "result" if aim and known.lemma in SHOWS else event
    if event == "static" and any(t.lower == "being" for t in tokens):
        event = "action"  # "is being worn down"
    past = "past" in known.forms and "s" not in known.forms
    passive = past and any(t.tag == "be" for t in tokens)
    flags = known.flags
    if form not in lex.verbs and any(t.tag == "be" for t in tokens) and not form.endswith("ing"):
        passive, flags = True, {"turns": "yes"}  # "is reduced to a puddle"
    return VerbPhrase("verb", tokens, known.lemma, event, flags, negated, passive)


def can_hang(phrase: Phrase) -> bool:
    return isinstance(phrase, NounPhrase) and len(phrase.all) < DEEPEST


def _attach_of(phrases: list[Phrase]) -> list[Phrase]:
    """Hang "of NP" on the noun phrase before it, from the right."""
    out: list[Phrase] = []
    for phrase in reversed(phrases):
        of = out[-1] if out else None
        joins = of is not None and of.kind == "prep" and of.word == "of" and len(out) > 1
        if joins and isinstance(phrase, NounPhrase) and can_hang(out[-2]):
            out.pop()
            phrase.tail = out.pop()
        out.append(phrase)
    return out[::-1]
