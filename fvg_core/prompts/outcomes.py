"""What a verb makes: a thing, a state or a deed that the first frame does not show."""

from .dictionary import readings
from .left import BECOMES, is_plural
from .lexicon import lexicon
from .phrases import NounPhrase, Phrase, VerbPhrase
from .scene import Item

LEAVES = frozenset({"leave", "send", "cause", "make", "let", "turn"})  # ", sending up sparks"
EMITS = frozenset({"let", "give", "send"})  # with "out": "lets out a butterfly"
RAISES = frozenset({"kick", "throw", "churn", "stir", "whip", "raise", "fling", "toss"})
LIGHT = frozenset({"take", "make", "give", "do"})
ARRIVES = frozenset({"appear", "hatch", "materialize", "materialise", "form", "arise"})
CREATES = frozenset({  # of a thing that nobody has before: "traces a heart"
    "build", "compose", "construct", "doodle", "engrave", "erect", "etch", "scrawl", "scribble",
    "sculpt", "sketch", "spell", "trace", "write",
})  # fmt: skip
DRAWS = frozenset({"draw", "paint", "carve", "form"})
ERUPTS = frozenset({"erupt", "explode", "burst"})  # "in sparks"
RETURNS = frozenset({"return", "resurface", "reappear"})  # "with a stick"
STAYS = frozenset({"arrives", "turns", "way"})
ABSTRACT = ("ment", "tion", "sion", "ness", "ance", "ence", "ity")
POSTURES = frozenset({"sit", "stand", "lie", "line", "crouch", "squat"})


def makes_what_follows(verb: VerbPhrase, after_comma: bool, rest: list[Phrase]) -> bool:
    """Whether all the rest of the clause comes of the verb: "reveals a stage", "lets out a moth",
    ", leaving tracks", ", kicking up spray" (but not ", kicking up her heels")."""
    first = rest[0] if rest else Phrase("", [])
    if verb.event == "result":
        return first.kind in ("np", "adv", "pron")
    if rest and verb.lemma in EMITS and first.word in ("out", "off", "through"):
        return True
    if not after_comma or not verb.word.endswith("ing"):
        return False
    thing = rest[1] if len(rest) > 1 and first.word == "up" else None
    raised = isinstance(thing, NounPhrase) and not thing.determiner
    return verb.lemma in LEAVES or (verb.lemma in RAISES and raised)


def is_later(verb: VerbPhrase, np: NounPhrase) -> bool:
    """Whether a direct object is what the verb makes, a deed or a sound. "Turns the page" has a
    page before; "becomes a butterfly" has no butterfly."""
    was_there = np.definite or np.determiner in lexicon()["possessive"]
    made = ("link" in verb.flags or verb.lemma in CREATES) and not was_there
    made |= verb.lemma in DRAWS and np.head.removesuffix("s") in lexicon()["formation"]
    stirred = np.head in lexicon()["in_a"] and np.tail is not None  # "throws up a cloud of dust"
    return made or stirred or is_deed(verb, np) or np.head in lexicon()["event"]


def is_given_off(verb: VerbPhrase, np: NounPhrase, item: Item | None, trailing: bool) -> bool:
    """ "a chimney belches smoke", ", spraying foam" (`trailing`): what comes out of a thing."""
    unknown = verb.event == "action" and verb.word not in lexicon().verbs
    return (unknown or trailing) and is_mass(np, item)


def is_mass(np: NounPhrase, item: Item | None) -> bool:
    """Something without a determiner, said of a thing: "blaze with gold"."""
    return item is not None and not item.animate and not np.determiner


def is_arriving(verb: VerbPhrase, rest: list[Phrase], item: Item) -> bool:
    """ "a rainbow appears", "a fight breaks out": nobody sees it before."""
    out = bool(rest) and rest[0].word == "out" and verb.lemma == "break"
    if item.subject is None or item.subject.definite or item.posed or item.parts[0] != item.subject:
        return False
    alone = item.parts == [item.subject]
    comes = verb.lemma == "emerge" and item.joint and not item.animate
    return (alone and (out or verb.lemma in ARRIVES)) or bool(comes and not follows(rest, "from"))


def follows(rest: list[Phrase], word: str) -> bool:
    return bool(rest) and rest[0].word == word


def is_goal(prep: Phrase, target: Phrase) -> bool:
    """The second half of "from deflated to taut", "from ruby to sapphire"."""
    return prep.word in ("to", "into") and (target.kind == "adj" or len(target.tokens) == 1)


def is_deed(verb: VerbPhrase, np: NounPhrase) -> bool:
    """ "takes aim", "gives a hug": the verb says nothing, and its object is what is done. And
    "falls silent", where it is what becomes of the subject."""
    if verb.lemma in BECOMES and len(np.tokens) == 1 and not is_plural(np.head):
        return True
    bare = len(np.tokens) == 1 and verb.lemma in ("take", "lose", "gain")
    abstract = np.head in lexicon()["abstract"] and not np.attributes and not np.tail
    if verb.lemma in lexicon()["spent"] and (bare or abstract) and not is_plural(np.head):
        return True  # "gathers speed", "takes wing", "takes the lead"
    known = lexicon().verbs.get(np.head)
    if verb.lemma not in LIGHT or known is None or np.tail or np.attributes:
        return False
    bare = not np.determiner
    return "base" in known.forms and (bare or np.head not in lexicon()["noun_first"])


def is_rising(verb: VerbPhrase, rest: list[Phrase]) -> bool:
    """ "stands up", "sits down": a motion, where "stands" is a state."""
    return verb.lemma in POSTURES and bool(rest) and rest[0].text.lower() in ("up", "down")


def is_gained(verb: VerbPhrase, prep: str, target: Phrase) -> bool:
    """Behind a verb of change: "becomes stained with coffee", "a meadow full of poppies",
    "doubles in size", "glazes over with ice"."""
    if prep == "in":
        return isinstance(target, NounPhrase) and target.head in lexicon()["measure"]
    if prep == "with" and (target.kind == "adj" or not getattr(target, "determiner", "")):
        return True
    return prep in ("with", "of", "as") and "link" in verb.flags


def is_made(verb: VerbPhrase, prep: str, np: NounPhrase, item: Item | None, itself: bool) -> bool:
    """Behind any other verb: "with a crash", "in a cloud of dust", "land in a pyramid",
    "spins itself into a cocoon" (`itself`). `item` is what is said of the subject."""
    lex = lexicon()
    if np.head in lex["event"] or is_gesture(prep, np) or is_feeling(prep, np):
        return True
    if np.definite or item is None:
        return False
    if prep == "with" and verb.lemma in RETURNS:
        return True
    if prep == "in" and np.tail and np.head in lex["in_a"]:
        return True
    being = any(t.lower == "being" for t in verb.tokens)
    if prep == "with" and being and verb.lemma in lex["coats"]:
        return True  # "is being covered with a mural"
    if prep in ("to", "into") and not verb.moves and np.head in lex["adjectives"]:
        return True  # "caramelise to a dark amber"
    if prep in ("in", "into") and verb.lemma in ERUPTS and is_mass(np, item):
        return True
    if prep in ("in", "into") and np.head in lex["formation"]:
        kept = verb.moves and np.head in lex["line"] and not STAYS & set(verb.flags)
        return prep == "into" or not kept  # but "glide in a line"
    if prep == "into" and itself:
        return True
    # A verb of no list, but not one by which a person may go: "frizzes into tight curls".
    goes = item.animate and item.placed == 0 and not verb.passive
    unknown = verb.event == "action" and verb.word not in lex.verbs
    return prep in ("into", "up into", "down into") and unknown and not goes


def is_gesture(prep: str, np: NounPhrase) -> bool:
    """ "with a flick of its tail"."""
    whose = np.tail is not None and np.tail.determiner in lexicon()["possessive"]
    return prep == "with" and whose and "verb-base" in readings(np.head)


def is_feeling(prep: str, np: NounPhrase) -> bool:
    """ "in excitement", "to the amusement of": what has no shape."""
    bare = not np.determiner and prep in ("in", "with")
    return np.head.endswith(ABSTRACT) and (bare or (prep == "to" and np.tail is not None))
