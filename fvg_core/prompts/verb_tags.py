"""When a word is a verb: what stands to its left decides, and the word after it."""

from __future__ import annotations

from dataclasses import dataclass

from .lexicon import Lexicon, Verb, lexicon
from .tokens import Token

OPEN = ""  # still to be decided
MOVES_ON = ("dir", "adv", "det", "poss", "num", "pron")  # no noun phrase goes on like this
FINITE = ("verb", "be", "aux")
BEFORE_NOUN = ("det", "poss", "num", "adj", "ing-adj")
SINGULAR = ("a", "an", "one", "another", "each", "every", "this", "that")
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "last", "latter", "former")
VERB_PARTICLES = ("up", "off", "away", "over", "out", "apart", "open", "shut")
BECOMES = frozenset({"fall", "go", "come", "run"})  # "falls silent", "goes black"
PLURAL = ("two", "several", "many", "some", "both", "these", "those", "few", "all")


@dataclass
class Left:
    """What the words to the left of the one in question have built."""

    prev: str = "."  # tag of the previous word
    word: str = ""
    det: str = ""  # first determiner or number of the open noun phrase
    head: str = ""  # its noun so far
    in_prep: bool = False
    subject_plural: bool | None = None  # number of the clause's first noun phrase, once read
    joined: bool = False  # "a vase and a lamp"
    after_plural: bool = False  # "and" came behind a plural
    form: str = ""  # form of the last verb of the sentence
    finite: str = ""  # form of its last finite verb: "is whisked off" is "s"
    verbs: int = 0  # verbs of the clause
    causes: bool = False  # a causative came: a base verb may follow the noun
    helper: bool = False  # "is", "was slowly": a verb form is due
    modal: bool = False  # "will", "does not": a base form is due

    @property
    def plural(self) -> bool:
        if self.det in SINGULAR:
            return False
        counted = self.det in PLURAL or (self.det in lexicon().numbers and self.det != "one")
        counted = counted or (self.det.isdigit() and self.det != "1")
        return bool(self.head) and (counted or is_plural(self.head))


def is_plural(noun: str) -> bool:
    lex = lexicon()
    if noun in lex["irregular_plural"]:
        return True
    return noun.endswith("s") and not noun.endswith("ss") and noun not in lex["singular_s"]


def has_verb(tokens: list[Token], lex: Lexicon) -> bool:
    return any(t.lower in lex.verbs and t.lower not in lex["noun_first"] for t in tokens)


def acts_next(following: list[Token], lex: Lexicon) -> bool:
    """ "an orange rolls down", "a blue square moves left": the adjective is the noun."""
    if following and following[0].tag == "adv":
        following = following[1:]
    if not following or following[0].lower in lex["noun_first"]:
        return False
    if following[1:] and following[1].tag == OPEN and following[1].lower not in lex["adjectives"]:
        return False  # but "a stone cracks open"
    verb = lex.verbs.get(following[0].lower)
    return verb is not None and bool({"s", "past"} & verb.forms)


def ing_tag(word: str, left: Left, after: Token | None) -> str:
    closed_next = after is None or after.tag != OPEN
    acted = lexicon().verbs.get(left.word) if left.prev == "verb" else None
    if acted and acted.kind in ("action", "motion") and not closed_next:
        return "ing-adj"  # "pours steaming tea"
    each = left.word in ("each", "both", "all") and not (after and is_plural(after.lower))
    if left.helper or each:  # but "both rowing boats"
        return "verb"
    if left.head or left.prev in ("be", "later", "while", "verb", "adv", "rel", "pron", "pos"):
        return "verb"
    if left.prev in ("conj", ",") and (left.form == "ing" or closed_next):
        return "verb"
    if left.prev == "," and left.form and (is_outcome(word) or is_deed_word(word)):
        return "verb"
    turns = after is not None and after.lower in ("to", "into", "from")
    if left.prev == "adj" and left.det and turns and is_course(word):
        return "verb"  # "its green darkening to grey"
    if left.prev in BEFORE_NOUN:
        return "noun" if closed_next else "ing-adj"
    return "verb" if closed_next else "ing-adj"


def is_outcome(word: str) -> bool:
    """ ", making chips fly", ", leaving tracks": what comes of it."""
    verb = lexicon().verbs.get(word)
    lemmas = ("leave", "send", "turn")
    known = verb is not None and (
        verb.kind == "result" or "link" in verb.flags or verb.lemma in lemmas
    )
    return known or word in lexicon()["causative"]


def is_deed_word(word: str) -> bool:
    """ ", murmuring prayers", but not ", steaming tea"."""
    verb = lexicon().verbs.get(word)
    return verb is None or verb.kind == "action"


def is_course(word: str) -> bool:
    verb = lexicon().verbs.get(word)
    return verb is not None and verb.kind in ("change", "motion")


def is_third_person(token: Token, left: Left, following: list[Token], lex: Lexicon) -> bool:
    word, after = token.lower, following[0] if following else None
    noun_first = word in lex["noun_first"]
    opens_object = after is not None and after.tag in ("det", "poss", "pron", "num")
    closed_next = after is None or after.tag != OPEN
    if left.prev in ("pron", "rel") or left.head in lex["camera_noun"]:
        return True
    if not left.head:
        if left.prev in ("adj", "num") and left.det and opens_object:
            return True  # "while a third smokes a pipe"
        shared = "s" in (left.form, left.finite)
        linked = left.prev in ("conj", "later", ",", "adv", "while") and shared
        linked |= left.helper and left.prev == "adj"  # "a dog that is brown runs"
        linked |= left.word in ("another", "other", "one", "each")  # "and another searches"
        linked |= left.word in ORDINALS and left.det in ("a", "the")  # "a third wheels overhead"
        linked |= left.prev == "," and opens_object and left.form != ""
        moves_on = after is not None and (after.lower in lex["away"] or after.tag == "dir")
        linked |= left.prev in (",", "conj") and left.form != "" and (moves_on or not noun_first)
        return linked and (not noun_first or closed_next)
    if after is not None and after.tag == OPEN and noun_first and has_verb([after], lex):
        return False
    if left.plural and not (left.in_prep and left.subject_plural is False):
        return (opens_object and not noun_first) or (is_plural(left.head) and closed_next)
    if left.det in SINGULAR and not left.plural:
        return True
    if left.verbs == 0 and closed_next and left.head in lex["animate"]:
        return True  # "the man steps onto"
    weak = left.verbs == 0 and left.head in lex["animate"] and "noun" in lex.verbs[word].flags
    if weak and len(following) > 1 and following[1].tag in ("prep", "."):
        return True  # "her grandson winds yarn onto a spool"
    if left.verbs == 0 and not is_plural(left.head) and is_verb_particle(following):
        return True  # "the sky clouds over"
    return opens_object or not noun_first


def is_verb_particle(following: list[Token]) -> bool:
    """ "up", "off", "over" that open no place: "over and", but not "over the door"."""
    word = following[0].lower if following else ""
    after = following[1].tag if len(following) > 1 else "."
    return word in VERB_PARTICLES and after not in ("det", "poss", "num", "pron", OPEN)


def is_base_verb(token: Token, verb: Verb, left: Left, after: Token | None, lex: Lexicon) -> bool:
    word, closed_next = token.lower, after is None or after.tag != OPEN
    noun_first = word in lex["noun_first"]
    if left.prev in ("to", "aux") or (left.helper and left.prev in ("adv", "neg")):
        return True
    if left.prev == "pron" and (left.causes or (left.word == "them" and left.verbs == 0)):
        return closed_next  # "makes it spin", "all of them fall"
    if left.prev == "pron" and left.word in ("they", "we", "you") and left.verbs == 0:
        return True
    if left.prev == "rel" and left.subject_plural:  # "pigeons that flap around her bench"
        return closed_next
    if not left.head:
        shared = "base" in (left.form, left.finite)
        linked = left.prev in ("conj", "later", ",", "adv") and shared
        start = left.prev == "." and word in lex["camera_verb"]
        plural_subject = left.prev in ("pron", "rel", "adv", ",") and left.subject_plural
        looks = after is not None and after.lower in lex["adjectives"]
        becomes = looks and (verb.kind in ("change", "motion") or verb.lemma in BECOMES)
        becomes |= linked and not noun_first and not closed_next and is_plural(after.lower)
        return (linked or start or bool(plural_subject)) and (closed_next or becomes)
    if left.causes and closed_next and not left.in_prep:  # "helps another person set the table"
        return True
    of_subject = left.in_prep and left.subject_plural and left.verbs == 0
    many = left.joined or of_subject or (left.plural and not (left.in_prep and left.verbs))
    if not many:
        return False
    if "link" in verb.flags:  # "the shadows on the snow turn rose"
        return True
    firm = is_plural(left.head) or left.joined
    acts = lex.verbs.get(after.lower) if after else None  # "the ferris wheel begins"
    ends = acts is not None and "s" in acts.forms and after.lower not in lex["noun_first"]
    if is_plural(left.head) and left.verbs == 0 and not left.in_prep and not ends:
        return True  # "two rams butt heads": no noun goes on behind a plural
    people = left.head in lex["animate"] and not closed_next and after.lower in lex["adjectives"]
    return closed_next or (firm and (people or not noun_first))  # "children stack wooden blocks"


def past_tag(word: str, left: Left, after: Token | None) -> str:
    if left.helper or left.prev in ("be", "aux", "pron"):
        return "verb"
    if not left.head:
        linked = left.prev in ("conj", "later", ",", "adv", "rel") and left.form == "past"
        linked |= left.prev == "," and after is not None and after.lower == "by"  # ", followed by"
        return "verb" if linked else "adj"
    if word in lexicon()["noun_first"]:
        return "noun"
    return "verb"


def is_third_form(word: str) -> bool:
    """Whether a word of no list looks like "juliennes"."""
    return (
        word.endswith("s")
        and not word.endswith(("ss", "us", "is"))
        and word not in lexicon()["singular_s"]
    )


def is_unknown_verb(word: str, left: Left, after: Token | None) -> bool:
    """A word of no list that stands where only a verb can: "A chef juliennes a carrot"."""
    lex = lexicon()
    if word in lex["adjectives"]:
        return False
    if left.modal and left.prev in ("aux", "neg", "adv"):
        return True  # "will not budge"
    if left.prev == "pron" and left.word in lex["subject_pronoun"] and left.verbs == 0:
        return True  # "before they lunge"
    if after is None:
        return False
    if left.helper and is_passive(word, after, lex):
        return True
    opens_object = after.tag in ("det", "poss") or after.lower in ("it", "them")
    opens_object |= after.lower.endswith(("self", "selves"))  # "rights itself"
    moves_on = opens_object or after.lower in lex["away"] or after.tag in ("dir", "adv")
    if left.prev in ("conj", ",", "rel") and is_third_form(word):
        linked = left.form == "s" or left.prev == "rel"
        alone = left.prev == "conj" and not left.after_plural and after.tag == "prep"
        alone |= left.prev == "rel" and after.tag != OPEN
        # "sits and twitches its nose", "who backs away", "arcs over the barn and splats in a field"
        return linked and (moves_on or alone)
    if not left.head or after.lower == "of":
        return False
    if word.endswith("ed") and after.lower == "by":
        return True  # "its shine replaced by dull brown"
    if left.plural and is_plural(left.head) and not word.endswith("s"):
        return left.verbs == 0 and after.tag not in (OPEN, "conj", ",")  # "squirrels quarrel over"
    if not is_third_form(word):
        return False
    return follows_singular(left, after, opens_object)


def follows_singular(left: Left, after: Token, opens_object: bool) -> bool:
    """Whether a word in -s behind a noun is its verb: "a barista froths milk", where no plural can
    follow "a"; "her sister pins the veil"; "a convoy of trucks winds its way"."""
    if left.plural:
        return opens_object and left.in_prep and left.subject_plural is False
    if left.det in SINGULAR:
        return after.tag != OPEN or left.verbs == 0
    return after.tag == "to" or (opens_object and not (left.in_prep and left.verbs))


def is_passive(word: str, after: Token, lex: Lexicon) -> bool:
    """ "is beaten by", "is crumpled into": a thing is done, where "is tattooed" is a look."""
    if after.lower == "by":
        return True
    return word.endswith(("ed", "en")) and after.lower in (
        *lex["away"],
        *VERB_PARTICLES,
        "to",
        "from",
    )
