"""Bare geometric scenes ("a red circle moves right on a gray background"), exactly.

The first frame is written in the form the tiny image model is trained on: a mover stands
opposite to its motion, a still object has no position unless the prompt gives one.
"""

from dataclasses import dataclass, field

from .lexicon import lexicon
from .tokens import Token, tokenise
from .types import Entity

START = {
    "right": "on the left",
    "left": "on the right",
    "up": "at the bottom",
    "down": "at the top",
}
CENTER = "in the center"
POSITIONS = {**{p: p for p in START.values()}, CENTER: CENTER, "in the centre": CENTER}
POSITIONS |= {"in the middle": CENTER, "on the left side": START["right"]}
POSITIONS |= {"on the right side": START["left"]}
STILL = frozenset({"still", "put", "motionless", "stationary", "unmoving", "fixed", "in place"})
JOINS = frozenset({"and", "while", "as", "whereas", "&", "but", "plus", ",", ";"})
CANVAS = frozenset({"screen", "frame", "canvas", "image", "picture"})


@dataclass
class Shape:
    article: str
    attributes: tuple[str, ...]
    noun: str
    stated: str | None = None  # the position the prompt gives
    heading: str | None = None  # direction of the first motion
    still: bool = False

    @property
    def position(self) -> str | None:
        return self.stated or (START[self.heading] if self.heading else None)

    @property
    def text(self) -> str:
        return " ".join([self.article, *self.attributes, self.noun]).strip()

    def entity(self) -> Entity:
        count = 1 if self.article in ("a", "an", "the") else lexicon().numbers.get(self.article, 0)
        place = self.position, self.heading
        return Entity(self.text, self.noun, count, self.attributes, *place)


@dataclass
class Scene:
    shapes: list[Shape] = field(default_factory=list)
    backdrop: str = ""  # "on a gray background"
    removed: list[str] = field(default_factory=list)

    def entities(self) -> list[Entity]:
        return [shape.entity() for shape in self.shapes]

    def first_frame(self) -> str:
        named = [" ".join(filter(None, (s.text, s.position))) for s in self.shapes]
        listed = " and ".join(filter(None, (", ".join(named[:-1]), named[-1])))
        return f"{listed} {self.backdrop}".strip()


def read_scene(prompt: str) -> Scene | None:
    """The scene, or None where a word is not of the geometric grammar."""
    reader = _Reader(tokenise(prompt))
    try:
        return reader.scene()
    except _NotGeometricError:
        return None


class _NotGeometricError(Exception):
    """The sentence says more than shapes, motions and a background."""


class _Reader:
    def __init__(self, tokens: list[Token]):
        self.words = [t.lower for t in tokens]
        self.at = 0
        self.lex = lexicon()

    # -- words --
    def peek(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self.words[place] if place < len(self.words) else ""

    def take(self, allowed) -> str:
        word = self.peek()
        if word and word in allowed:
            self.at += 1
            return word
        return ""

    def need(self, allowed) -> str:
        return self.take(allowed) or self.fail()

    def fail(self):
        raise _NotGeometricError

    def verb_kind(self, ahead: int = 0) -> str:
        verb = self.lex.verbs.get(self.peek(ahead))
        return verb.kind if verb else ""

    # -- grammar --
    def scene(self) -> Scene:
        scene = Scene()
        scene.backdrop = self.background()
        self.take({","})
        scene.shapes.append(self.shape())
        while self.at < len(self.words):
            scene.removed += self.events(scene.shapes[-1])
            background = self.background()
            if background and scene.backdrop:
                self.fail()
            scene.backdrop = scene.backdrop or background
            if self.take({"."}):
                continue
            if self.at < len(self.words):
                self.joins()
                if self.peek() not in ("on", "against", "over"):  # else: ", on a gray background"
                    scene.shapes.append(self.shape())
        return scene

    def joins(self) -> None:
        if self.words[self.at - 1] != ".":
            self.need(JOINS)
        while self.take(JOINS):
            pass

    def background(self) -> str:
        start = self.at
        if self.take({"on", "against", "over"}) and self.take({"a", "an", "the"}):
            colours = []
            while self.peek() in self.lex["adjectives"]:
                colours.append(self.plain_colour(self.take(self.lex["adjectives"])))
            if colours and self.take({"background", "backdrop"}):
                article = self.words[start + 1]
                return " ".join(["on", article, *colours, "background"])
        self.at = start
        return ""

    def plain_colour(self, word: str) -> str:
        return "gray" if word == "grey" else word

    def is_attribute(self) -> bool:
        """ "square" is an attribute in "a square ball" and the noun in "a blue square"."""
        names = self.lex["shapes"]
        return self.peek() in self.lex["adjectives"] and (
            self.peek() not in names or self.peek(1) in names | self.lex["adjectives"]
        )

    def shape(self) -> Shape:
        article = self.take({"a", "an", "the", *self.lex.numbers})
        attributes = []
        while self.is_attribute():
            attributes.append(self.plain_colour(self.take(self.lex["adjectives"])))
        noun = self.need(self.lex["shapes"])
        return Shape(article, tuple(attributes), noun)

    def events(self, shape: Shape) -> list[str]:
        """Read what happens to the shape; give back the words of motion."""
        removed = []
        while True:
            start = self.at
            if position := self.take(POSITIONS):
                shape.stated = shape.stated or POSITIONS[position]
                continue
            later = self.later_link()
            if not self.event(shape):
                if later or self.at == start:
                    self.at = start
                    return removed
                self.fail()
            removed.append(" ".join(self.words[start : self.at]))

    def later_link(self) -> bool:
        """ "and then", ", and finally", or a bare "and" before another event of the same shape."""
        self.take({","})
        self.take({"and", "but"})
        return bool(self.take(self.lex["later"])) or self.words[self.at - 1] in ("and", ",", "but")

    def event(self, shape: Shape) -> bool:
        self.adverbs()
        self.take({"that", "which"})
        helped = self.take(self.lex["be"] | {"does", "do", "doesn't", "don't"})
        negated = bool(self.take({"not", "never"})) or helped.endswith("n't")
        self.adverbs()
        kind = self.verb_kind()
        if negated and kind == "motion":
            self.at += 1
            self.take({"at all"})
            shape.still = True
        elif helped in self.lex["be"] and (self.peek() in STILL or self.peek() in POSITIONS):
            self.rest(shape)
        elif kind == "static":
            self.at += 1
            self.rest(shape)
        elif kind == "motion":
            way = self.lex.verbs[self.peek()].flags.get("way")  # "rises", "sinks"
            self.at += 1
            self.motion(shape)
            shape.heading = shape.heading or way
        elif shape.heading and self.peek() in self.lex.directions:  # "right, then up"
            self.motion(shape)
        elif kind == "change":
            self.at += 1
            self.change()
        else:
            return False
        self.adverbs()
        return True

    def rest(self, shape: Shape) -> None:
        if position := self.take(POSITIONS):
            shape.stated = shape.stated or POSITIONS[position]
            return
        while self.take(STILL | {"completely", "perfectly"}):
            shape.still = True

    def motion(self, shape: Shape) -> None:
        self.adverbs()
        while direction := self.take(self.lex.directions):
            heading = self.lex.directions[direction]
            if not shape.still and heading in START:
                shape.heading = shape.heading or heading
            self.adverbs()
            if self.peek() == "and" and self.peek(1) in self.lex.directions:
                self.at += 1

    def change(self) -> None:
        """ "turns blue", "changes to green", "becomes a blue square": read past the new state."""
        self.take({"into", "to"})
        if self.peek() in ("a", "an"):
            self.shape()
        elif not self.take(self.lex["adjectives"]):
            self.take({"away", "out"})

    def adverbs(self) -> None:
        while True:
            word = self.peek()
            if word.endswith("ly") and word not in self.lex["adjectives"]:
                self.at += 1
            elif word in ("across", "over", "through") and self.peek(2) in CANVAS:
                self.at += 3
            elif not self.take({"fast", "forward", "steadily", "a bit"}):
                return
