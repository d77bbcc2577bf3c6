"""From phrases to the first frame: what stands there before anything has happened.

Subjects, objects and places stay; motions, later states and camera moves go. Each noun phrase
is written once, in the order of the prompt.
"""

from .clauses import ClauseWriter
from .outcomes import is_gained, is_gesture, is_goal, is_made, is_mass
from .phrases import NounPhrase, Phrase, VerbPhrase
from .places import PARTICLES, relation
from .scene import FirstFrame


class SceneWriter(ClauseWriter):
    """Reads phrases from left to right and writes the items of the first frame."""

    def read(self, phrases: list[Phrase]) -> FirstFrame:
        i = 0
        while i < len(phrases):
            i += self.step(phrases[i], phrases[i + 1 :])
        return self.frame

    def step(self, phrase: Phrase, rest: list[Phrase]) -> int:
        """Read one phrase; return how many were used up."""
        self.before, self.kind = self.kind, phrase.kind
        if phrase.kind == "prep":
            return self.on_prep(phrase, rest)
        if phrase.word in ("before", "after") and self.is_date(rest):
            self.frame.remove(phrase, rest[0])
            return 2
        handler = {
            "np": self.on_noun,
            "verb": self.on_verb,
            "adj": self.on_adjective,
            "part": self.on_participle,
            "adv": self.on_adverb,
            "dir": self.on_direction,
            "pos": self.on_position,
            "pron": self.on_pronoun,
        }.get(phrase.kind, self.on_link)
        handler(phrase, rest)
        return 1

    def is_date(self, rest: list[Phrase]) -> bool:
        """ "before the match in a crowded hall": a time, and then the place goes on."""
        named = bool(rest) and isinstance(rest[0], NounPhrase)
        return self.acted and named and len(rest) > 1 and rest[1].kind == "prep"

    # -- adjectives, adverbs, directions --
    def on_adjective(self, phrase: Phrase, rest: list[Phrase]) -> None:
        became = self.became and self.pending == "and"  # "goes limp and slimy"
        self.became = self.acted and self.before == "verb"
        become = became or (
            self.acted and (self.verb.event == "change" or self.later or not self.pending)
        )
        if self.frame.item is None or self.dropping or self.camera or become:
            self.frame.remove(phrase)
            return
        self.write_linked(phrase.text)

    def write_linked(self, text: str) -> None:
        if self.pending == "and":
            self.frame.write("and")
        self.frame.write(text, comma=self.pending == ",")
        self.pending = ""

    def on_participle(self, phrase: Phrase, rest: list[Phrase]) -> None:
        if self.dropping or self.later or self.frame.item is None:
            self.frame.remove(phrase)
            return
        self.write_linked(phrase.text)
        self.verb = VerbPhrase("verb", phrase.tokens, phrase.word, "static")

    def on_adverb(self, phrase: Phrase, rest: list[Phrase]) -> None:
        describes = bool(rest) and rest[0].kind in ("adj", "part")
        if describes and not self.dropping and not self.acted:
            self.write_linked(phrase.text)
        else:
            self.frame.remove(phrase)

    def on_direction(self, phrase: Phrase, rest: list[Phrase]) -> None:
        if (
            self.acted
            and self.verb.moves
            and not self.later
            and not self.camera
            and self.frame.item
        ):
            self.frame.set_start(self.lex.directions[phrase.word])
        if self.acted or self.dropping or self.camera or self.frame.item is None:
            self.frame.remove(phrase)
        else:
            self.frame.write(phrase.text)

    def on_position(self, phrase: Phrase, rest: list[Phrase]) -> None:
        if self.dropping or self.later:
            self.frame.remove(phrase)
            return
        if self.pending == ",":
            self.frame.joint = self.frame.joint or ", "
            self.frame.start_item()
        self.frame.write(phrase.text)
        self.frame.item.position = self.frame.item.position or phrase.text
        self.pending = ""

    # -- prepositions --
    def on_prep(self, prep: Phrase, rest: list[Phrase]) -> int:
        target = rest[0] if rest else None
        if target is None or target.kind not in ("np", "pron", "adj"):
            self.frame.remove(prep)
            return 1
        source, self.source = self.source, prep.word == "from"
        gone = bool(self.frame.removed) and self.frame.removed[-1] == self.last_place
        self.last_place = f"{prep.text} {target.text}"
        if self.drops_place(prep, target) or (source and is_goal(prep, target)):
            self.frame.remove(prep, target)
        elif gone and prep.word == "with" and self.before == "prep":
            self.frame.remove(prep, target)  # "to a puddle with a carrot in it"
        elif self.is_particle(prep) and isinstance(target, NounPhrase):
            self.on_object(target)
        elif self.camera:
            self.on_camera_place(prep, target)
        elif self.verb is not None and self.verb.event == "change":
            self.on_changed_place(prep, target)
        elif self.acted and isinstance(target, NounPhrase):
            self.on_acted_place(prep, target)
        elif self.is_first_state(prep, target):
            self.frame.item.subject.gained += [t.lower for t in target.tokens]
        elif self.acted:
            self.frame.remove(prep, target)
        else:
            self.write_place(prep.text, target)
        self.pending = ""
        return 2

    def on_camera_place(self, prep: Phrase, target: Phrase) -> None:
        """ "zooms in on a fox" shows the fox; "in a close-up" is of the camera itself."""
        if isinstance(target, NounPhrase) and target.word not in self.lex["framing"]:
            self.on_shown(target)
        else:
            self.frame.remove(prep, target)

    def is_first_state(self, prep: Phrase, target: Phrase) -> bool:
        """ "is painted from rusty red to glossy black": it is rusty red."""
        if not self.acted or self.verb.moves or prep.word != "from" or self.frame.item is None:
            return False
        bare = all(t.tag == "adj" for t in target.tokens)
        return bare and self.frame.item.subject is not None

    def is_particle(self, prep: Phrase) -> bool:
        """ "turns on the fan", "puts on shoes": the noun is the verb's object."""
        if not self.acted or self.camera or "particle" not in self.verb.flags:
            return False
        gains = self.verb.flags.get("gains") == prep.word
        return prep.word in PARTICLES and self.before == "verb" and not gains

    def drops_place(self, prep: Phrase, target: Phrase) -> bool:
        if self.dropping:
            return True
        if prep.word in ("after", "before") and target.word in self.lex["event"]:
            return True  # "after a long pause"
        if isinstance(target, NounPhrase) and target.head in self.lex["time_span"]:
            return self.verb is not None
        return self.panned and not self.verb and prep.word in ("to", "into", "toward")

    def write_place(self, prep: str, target: Phrase) -> None:
        event = target.word in self.lex["event"]  # "With a creak, the door opens"
        event |= isinstance(target, NounPhrase) and is_gesture(prep.lower(), target)
        if prep.lower() == "with" and event:
            self.frame.remove(target)
            return
        self.write_linked(prep)
        if isinstance(target, NounPhrase):
            self.frame.write_noun(target)
        else:
            self.frame.write(target.text)

    def on_changed_place(self, prep: Phrase, target: Phrase) -> None:
        """ "from pale blue to deep orange": the old state stays, the new one goes."""
        word = prep.word
        subject = self.frame.item.subject if self.frame.item else None
        bare = target.kind == "adj" or len(target.tokens) == 1  # "from bright", "from ice"
        if word == "from" and subject is not None and subject.gained:
            self.frame.remove(prep, target)
        elif word == "from" and bare and subject is not None:
            subject.gained += [t.lower for t in target.tokens]
        elif word == "from" and isinstance(target, NounPhrase):
            self.write_place("as", target)
        elif (
            word in ("into", "to", "towards", "toward")
            or self.later
            or is_gained(self.verb, word, target)
            or (word == "by" and self.before == "verb" and not getattr(target, "determiner", ""))
        ):
            self.frame.remove(prep, target)
        else:
            self.write_place(prep.text, target)

    def on_acted_place(self, prep: Phrase, np: NounPhrase) -> None:
        fills = "fills" in self.verb.flags or is_mass(np, self.frame.item)
        if prep.word == "with" and fills and self.before == "verb":
            self.frame.remove(prep, np)  # "a glass fills with juice"
            return
        if self.before == "verb" and self.verb.flags.get("gains") == prep.word:
            self.frame.remove(prep, np)  # "takes on a rosy hue"
            return
        if is_made(self.verb, prep.word, np, self.frame.item, self.reflexive):
            self.frame.remove(prep, np)
            return
        placed = self.frame.item is not None and self.frame.item.placed > 0
        form = relation(self.verb, prep.word, np, placed, self.later)
        if form == "drop" or self.frame.find(np):
            self.frame.remove(prep, np)
        else:
            self.frame.write_placed(form, np)

    # -- words between clauses --
    def on_link(self, phrase: Phrase, rest: list[Phrase]) -> None:
        kind = phrase.kind
        if kind == ".":
            self.new_sentence()
            return
        if kind in ("later", "until"):
            self.frame.remove(phrase)
        if kind == ",":
            self.on_comma(phrase)
        elif kind == "conj":
            self.pending = "and"
        elif kind == "while":
            self.new_clause()
            self.camera = self.later = False
            self.frame.joint = ", and "
        elif kind == "later":
            self.later, self.pending = True, ","
            copula = self.verb is not None and self.verb.event == "copula"
            self.dropping |= copula and self.before == "verb"  # "is soon covered with blossom"
        elif kind == "until":
            self.dropping = True
        elif kind == "rel":
            self.relative, self.verb, self.pending = True, None, ""
            self.whose = phrase.word == "whose"

    def on_comma(self, phrase: Phrase) -> None:
        self.pending = ","
        if phrase.text == ":":
            self.new_clause()
            self.frame.joint = ": "
        elif self.camera:
            self.camera, self.verb = False, None
