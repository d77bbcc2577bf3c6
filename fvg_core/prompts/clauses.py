"""What a clause leaves in the first frame: subject, objects, and a state that one image shows."""

from .left import is_one_thing, is_plural
from .lexicon import lexicon
from .outcomes import is_arriving, is_given_off, is_later, is_rising, makes_what_follows
from .phrases import NounPhrase, Phrase, VerbPhrase, article
from .places import is_described, is_subject, object_relation, pose, still_form
from .scene import FirstFrame


class ClauseWriter:
    """Writes noun phrases and verbs, and keeps what is known of the clause."""

    def __init__(self) -> None:
        self.frame = FirstFrame()
        self.lex = lexicon()
        self.before = self.kind = ""  # kinds of the last phrase and of this one
        self.new_sentence()

    # -- state --
    def new_sentence(self) -> None:
        self.later = self.camera = self.panned = False
        self.frame.joint = ". "
        self.new_clause()

    def new_clause(self) -> None:
        self.verb: VerbPhrase | None = None
        self.pending = ""  # "and" or "," read and not yet written
        self.dropping = False  # to the end of the clause: a later state
        self.relative = self.reflexive = self.became = self.whose = False
        self.trailing = False  # the verb is the "spraying" of ", spraying foam"
        self.source = False  # "from" came: "from deflated to taut"
        self.last_place = ""  # the last preposition with its noun
        self.made = False  # the last object comes later, and what is listed with it
        self.clause_verbs = 0

    @property
    def acted(self) -> bool:
        """Whether the governing verb was taken out."""
        if self.verb is None:
            return False
        return self.later or self.verb.event not in ("static", "copula")

    # -- noun phrases --
    def on_noun(self, np: NounPhrase, rest: list[Phrase]) -> None:
        if np.head in self.lex["lead"]:
            self.frame.remove(Phrase("np", np.tokens))
            if np.tail is None:
                return
            np = np.tail
        if np.head in self.lex["time_span"] and self.verb is None and is_subject(rest):
            self.later = True  # "time passes, and an oak"
        if np.camera:
            self.start_camera(np)
        elif self.dropping:
            self.frame.remove(np)
        elif self.whose and self.frame.item is not None:
            self.on_part(np, rest)
        elif self.pending or self.verb is None:
            self.on_listed(np, rest)
        elif self.camera:
            self.on_shown(np)
        else:
            self.on_object(np)

    def start_camera(self, np: NounPhrase) -> None:
        self.new_clause()
        self.camera = True
        self.frame.remove(np)

    def on_shown(self, np: NounPhrase) -> None:
        """What the camera looks at starts an item of its own."""
        self.camera, self.panned = False, True
        self.new_clause()
        self.on_subject(np)

    def on_part(self, np: NounPhrase, rest: list[Phrase]) -> None:
        """ "a bookcase whose top shelf holds a jar": the shelf is said of the bookcase."""
        self.whose = False
        one = is_one_thing(np.head)
        has = f"with {article(['a', np.text])}" if one else "with"
        self.frame.write("whose" if is_described(rest) else has)
        self.frame.write_noun(np)

    def on_listed(self, np: NounPhrase, rest: list[Phrase]) -> None:
        """After "and" or a comma: one more of a list, or the subject of a new clause."""
        if self.made and not is_subject(rest):
            self.frame.remove(np)
            return
        self.made = False
        joins = self.pending == "and" and self.frame.item is not None and not self.camera
        if joins and not (self.clause_verbs and is_subject(rest)):
            if not self.frame.find(np):
                self.frame.write("and")
                self.frame.write_noun(np)
                self.frame.item.animate |= np.animate and self.clause_verbs == 0
            self.pending = ""
            return
        joint = ", and " if self.pending == "and" else ", "
        self.frame.joint = self.frame.joint or joint
        self.on_subject(np)

    def on_subject(self, np: NounPhrase) -> None:
        self.verb, self.pending = None, ""
        self.clause_verbs = 0
        if known := self.frame.find(np):
            self.frame.item, self.frame.joint = known, ""
        elif self.later:
            self.frame.remove(np)
            self.dropping = True
        else:
            self.frame.start_subject(np)

    def on_object(self, np: NounPhrase) -> None:
        if self.verb.event in ("static", "copula"):
            self.frame.write_noun(np)
        elif is_later(self.verb, np) or is_given_off(self.verb, np, self.frame.item, self.trailing):
            self.frame.remove(np)
            self.made = True
        elif not self.frame.find(np):
            self.frame.write_placed(object_relation(self.verb), np)

    def on_pronoun(self, phrase: Phrase, rest: list[Phrase]) -> None:
        self.reflexive = phrase.word.endswith(("self", "selves"))
        if self.verb is None:
            self.pending = ""
        elif not self.acted and not self.dropping:
            self.frame.write(phrase.text)

    # -- verbs --
    def on_verb(self, verb: VerbPhrase, rest: list[Phrase]) -> None:
        after_comma, self.pending = self.pending == ",", ""
        self.made = False
        self.clause_verbs += 1
        if is_rising(verb, rest):
            verb.event = "action"
        if self.camera or self.starts_camera(verb):
            self.camera = True
            self.dropping |= verb.event == "result"
            self.verb = verb
            self.frame.remove(verb)
        elif self.dropping:
            self.frame.remove(verb)
        elif self.frame.item and self.frame.item.parts[-2:-1] == ["whose"]:
            self.verb = VerbPhrase("verb", verb.tokens, "be", "static")
            self.frame.write(verb.text)  # "whose apron is scorched"
        elif verb.event in ("static", "copula") and not self.later:
            self.on_state(verb, rest)
        else:
            self.on_event(verb, after_comma, rest)

    def starts_camera(self, verb: VerbPhrase) -> bool:
        return self.frame.item is None and verb.lemma in self.lex["camera_verb"]

    def on_state(self, verb: VerbPhrase, rest: list[Phrase]) -> None:
        """A state one image can show stays: "sits" is written "sitting"."""
        self.verb = verb
        if self.frame.item is None and verb.word.endswith("ing") and not verb.negated:
            self.frame.write(verb.text)  # "Leaning on a cane, a shepherd ..."
        elif self.frame.item is None or verb.negated:
            self.frame.remove(verb)
            self.verb = None if self.frame.item is None else verb
        elif verb.event == "copula":
            if rest and rest[0].kind in ("adj", "np", "part"):
                self.frame.write(f"that {verb.text}" if self.relative else verb.text)
        else:
            self.frame.write(still_form(verb, bool(rest) and rest[0].kind == "np"))
            self.frame.item.posed = True

    def on_event(self, verb: VerbPhrase, after_comma: bool, rest: list[Phrase]) -> None:
        self.frame.remove(verb)
        self.reflexive = False
        self.trailing = after_comma and verb.word.endswith("ing")
        self.verb = verb
        if makes_what_follows(verb, after_comma, rest):
            self.dropping = True
        if self.frame.item is None or self.later or verb.negated:
            return
        if is_arriving(verb, rest, self.frame.item):
            self.frame.drop_item()
            return
        if "whose" in self.frame.item.parts:
            self.frame.item.parts.append(",")
        subject = self.frame.item.subject
        countable = subject is not None and (subject.determiner or is_plural(subject.head))
        of_place = self.before == "prep" and len(verb.tokens) == 1 and verb.word.endswith("ing")
        handles = bool(rest) and rest[0].kind == "np" and verb.flags.get("object") == "with"
        countable = countable and not handles  # "rain falls" is everywhere, a coin is dropped
        if countable and not of_place and "way" in verb.flags:
            self.frame.set_start(verb.flags["way"])
        if self.frame.item.animate:
            self.frame.item.actor = True
            if (stance := pose(verb, rest)) and not self.frame.item.posed:
                self.frame.write_added(stance)
                self.frame.item.posed = True
