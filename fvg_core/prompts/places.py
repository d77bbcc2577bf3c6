"""What a removed verb leaves behind: the pose, the place and the relations of t = 0."""

from .lexicon import lexicon
from .phrases import NounPhrase, Phrase, VerbPhrase

GOALS = frozenset({"on", "in", "at", "under", "upon"})  # of a verb that arrives
PARTICLES = frozenset({"on", "off", "up", "down", "out"})


def pose(verb: VerbPhrase, rest: list[Phrase]) -> str:
    """How an animate actor waits for its motion; empty where the verb suggests nothing."""
    named = verb.flags.get("pose", "standing" if verb.moves else "-")
    mount = rest[1] if len(rest) > 1 and rest[0].word == "on" else None
    if named == "standing" and isinstance(mount, NounPhrase) and mount.animate:
        return "seated"  # gallops on a horse
    return "" if named == "-" else named


def object_relation(verb: VerbPhrase) -> str:
    default = "near" if verb.moves else "with"
    return verb.flags.get("object", default).replace("_", " ")


def relation(verb: VerbPhrase, prep: str, np: NounPhrase, placed: bool, later: bool) -> str:
    """The preposition of t = 0, or "drop": what one jumps over one stands near."""
    if prep in PARTICLES - {"on", "out"} and not verb.moves and not placed:
        return object_relation(verb)
    if prep in ("into", "to") and "turns" in verb.flags:
        return "drop"
    if np.head == "camera":
        return "drop" if later else "facing"
    if prep in GOALS and (later or "arrives" in verb.flags):
        return "near"
    if prep == "by" and verb.passive:
        return "near"
    if prep in ("to", "into", "onto") and "way" in verb.flags:
        return "above" if verb.flags["way"] == "down" else "below"
    form = listed_relation(verb, prep, np)
    return prep if form == "keep" else form


def listed_relation(verb: VerbPhrase, prep: str, np: NounPhrase) -> str:
    """The entry of the word list, with its exceptions by class of noun."""
    after_motion, after_action = lexicon().prepositions.get(prep, ("keep", "keep"))
    handles = verb.flags.get("object") == "with"  # pours, shakes: more a deed than a way
    rule = after_motion if verb.moves and not handles else after_action
    form, *exceptions = (part.strip() for part in rule.split(","))
    for exception in exceptions:
        group, _, other = exception.partition(":")
        belongs = np.animate if group == "animate" else np.head in lexicon()[group]
        form = other if belongs else form
    return form


def still_form(verb: VerbPhrase, has_object: bool) -> str:
    """A state as a participle: "sits" is "sitting", "has" is "with"."""
    if verb.lemma == "have":
        return "with"
    if verb.passive or (verb.word.endswith("ed") and not has_object):
        return verb.word
    forms = (w for w, v in lexicon().verbs.items() if v.lemma == verb.lemma and "ing" in v.forms)
    best = max if len(verb.lemma) <= 4 else min  # sitting, not siting; covering, not coverring
    return best(forms, key=len, default=verb.word)


def is_described(rest: list[Phrase]) -> bool:
    """Whether a form of "be" and a look come next: "is scorched", "is bright red"."""
    verb = rest[0] if rest else None
    if not isinstance(verb, VerbPhrase) or verb.tokens[0].tag != "be" or verb.negated:
        return False
    return verb.event == "copula" or (len(verb.tokens) == 2 and not verb.word.endswith("ing"))


def is_subject(rest: list[Phrase]) -> bool:
    """Whether a verb comes before the next break or noun phrase."""
    after_prep = False
    for phrase in rest:
        if phrase.kind == "verb":
            return True
        if phrase.kind in ("np", "pron") and not after_prep:
            return False
        if phrase.kind not in ("np", "prep", "adv", "pos", "part", "pron", "adj"):
            return False
        after_prep = phrase.kind == "prep"
    return False
