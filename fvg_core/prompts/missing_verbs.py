"""The verb that a clause has to have: found among the words that were taken for nouns."""

from __future__ import annotations

from .lexicon import Lexicon, lexicon
from .tokens import Token
from .verb_tags import FINITE, MOVES_ON, SINGULAR, is_plural, is_third_form


def missing_verb(tokens: list[Token], lex: Lexicon) -> int | None:
    """The word of a tagged sentence that has to be the verb which one of its clauses lacks.

    A sentence has a clause, and one more for each relative word and conjunction of time.
    """
    firsts = [
        i
        for i, t in enumerate(tokens)
        if t.tag in FINITE and not is_attached(tokens, i) and not continues_verb(tokens, i)
    ]
    clauses = 1 + sum(t.tag in ("rel", "while") for t in tokens)
    shared = bool(firsts) and firsts[0] > 0 and tokens[firsts[0] - 1].tag == "conj"
    if len(firsts) >= clauses and not shared:
        return None
    most = firsts[0] - 1 if shared else len(tokens)  # "settles on a box and covers it"
    places = [i for i in range(1, most) if could_be_verb(tokens, i, lex, shared, not firsts)]
    known = [i for i in places if tokens[i].lower in lex.verbs]
    return next(iter(known + places), None)


def continues_verb(tokens: list[Token], i: int) -> bool:
    """Whether a word is the next of a verb group: "is about to jump", "does not move"."""
    return i > 0 and tokens[i - 1].tag in (*FINITE, "adv", "neg", "to")


def is_attached(tokens: list[Token], i: int) -> bool:
    """ "leaning against a tree", "pushed by a hand": no clause of its own."""
    after = tokens[i + 1].lower if i + 1 < len(tokens) else ""
    alone = i == 0 or tokens[i - 1].tag not in ("be", "aux", "adv")
    word = tokens[i].lower
    return tokens[i].tag == "verb" and (
        word.endswith("ing") or (alone and word.endswith("ed") and after == "by")
    )


def could_be_verb(tokens: list[Token], i: int, lex: Lexicon, shared: bool, sole: bool) -> bool:
    """Whether a word that was taken for a noun can be a finite verb: it follows a noun and agrees
    with it, and what comes next does not continue a noun phrase. `shared`: one that "and" joins
    to it is known; `sole`: the sentence has no other."""
    word, before = tokens[i].lower, tokens[i - 1]
    after = tokens[i + 1] if i + 1 < len(tokens) else Token(".", ".", ".")
    # "to and fro swings a lamp"
    inverted = before.tag in ("adv", "dir") and after.tag in ("det", "num")
    follows = inverted or before.tag in ("noun", "num", ",", "verb")
    if tokens[i].tag not in ("noun", "adj") or not follows or after.lower == "of":
        return False
    moves_on = after.lower in lex["away"] or after.tag in MOVES_ON
    if word not in lex.verbs:
        closed = after.tag in (*MOVES_ON, "prep", ".", "adj")
        return closed and unknown_agrees(tokens, i, after, moves_on, shared)
    forms, sure = lex.verbs[word].forms, word not in lex["noun_first"]
    if "s" in forms and sure:
        return True
    plural = is_plural(before.lower) or any(t.tag == "conj" for t in tokens[:i])
    # "a doorknob, dull and scratched, gleams like gold"; "the moon slips behind a cloud"
    aside = before.tag == "," or (sole and "noun" in lex.verbs[word].flags)
    opened = tokens[0].lower in (*SINGULAR, "the") and not is_plural(before.lower)
    sure |= aside and opened and "s" in forms
    agrees = "s" in forms or ("base" in forms and (plural or after.tag in ("det", "num")))
    if after.tag == "conj" and not plural and len(tokens) > i + 2:  # "the pot tips and rolls away"
        second = lex.verbs.get(tokens[i + 2].lower)
        moves_on |= second is not None and "s" in forms and "s" in second.forms
    return agrees and (moves_on or (sure and after.tag in ("prep", ".")))


def unknown_agrees(tokens: list[Token], i: int, after: Token, moves_on: bool, shared: bool) -> bool:
    """The same for a word of no list, which may as well be a noun."""
    lex, word, before = lexicon(), tokens[i].lower, tokens[i - 1]
    if before.tag != "noun":  # "a man with a moustache, sharpens a knife"
        aside = before.tag == "," and after.tag in ("det", "poss", "adv")
        return aside and is_third_form(word)
    if is_plural(before.lower):  # "her cheeks flush pink"
        return not is_plural(word) and (moves_on or after.tag == "adj")
    person = before.lower in lex["animate"]  # "the goose hisses at a postman"
    moves_on |= (person or shared) and after.tag == "prep"
    sole = person or shared or tokens[0].lower in (*SINGULAR, "the")
    return sole and is_third_form(word) and moves_on
