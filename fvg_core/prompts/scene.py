"""The page on which a first frame is written: items, each one subject and what is said of it."""

from dataclasses import dataclass, field

from .lexicon import lexicon
from .phrases import NounPhrase, Phrase
from .types import Entity

START = {  # where a mover stands at t = 0: opposite to its motion
    "right": "on the left of the frame",
    "left": "on the right of the frame",
    "up": "low in the frame",
    "down": "high in the frame",
}
POISES = (
    "poised before the action",
    "at rest before the action",
    "ready and still",
    "composed, a moment before the action",
)
SEPARATE = ("near", "facing", "at the", "behind", "above", "below", "in front of")


@dataclass
class Item:
    """One subject with all that is said of it."""

    joint: str
    parts: list[str | NounPhrase] = field(default_factory=list)
    subject: NounPhrase | None = None
    animate: bool = False
    actor: bool = False  # an animate subject whose action was taken out
    posed: bool = False
    placed: int = 0
    position: str | None = None  # where it stands in the frame

    def text(self) -> str:
        words = " ".join(p if isinstance(p, str) else p.text for p in self.parts)
        return words.replace(" ,", ",").strip(" ,")


@dataclass
class FirstFrame:
    items: list[Item] = field(default_factory=list)
    entities: list[tuple[NounPhrase, Item]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    dropped: list[NounPhrase] = field(default_factory=list)  # what only exists later
    item: Item | None = None  # the one being written
    joint: str = ""  # what goes before the next item

    def text(self, poise: str) -> str:
        """One paragraph; the poise clause follows the last actor."""
        actors = [item for item in self.items if item.actor]
        out = ""
        for item in self.items:
            words = item.text()
            if not words:
                continue
            if actors and item is actors[-1]:
                words = f"{words}, {poise}"
                self.added.append(poise)
            joint = item.joint if out else ""
            starts = not out or joint == ". "
            out += joint + (words[0].upper() + words[1:] if starts else words)
        return out if out.endswith((".", "!", "?")) or not out else out + "."

    def described(self) -> list[Entity]:
        framing = lexicon()["framing"]
        return [
            np.entity(item.position if np is item.subject else None)
            for np, item in self.entities
            if np.head not in framing
        ]

    def remove(self, *phrases: Phrase) -> None:
        self.removed.append(" ".join(p.text for p in phrases))
        self.dropped += [n for p in phrases if isinstance(p, NounPhrase) for n in p.all]

    def start_item(self) -> Item:
        self.item = Item(self.joint or ", ")
        self.items.append(self.item)
        self.joint = ""
        return self.item

    def start_subject(self, np: NounPhrase) -> None:
        item = self.start_item()
        item.subject, item.animate = np, np.animate
        self.write_noun(np)

    def drop_item(self) -> None:
        """Take out the item being written, which only its subject has been said of."""
        self.items.remove(self.item)
        self.remove(self.item.subject)
        self.entities = [(np, item) for np, item in self.entities if item is not self.item]
        self.item, self.joint = None, self.item.joint

    def write(self, text: str | NounPhrase, comma: bool = False) -> None:
        item = self.item or self.start_item()
        if comma and item.parts:
            item.parts.append(",")
        item.parts.append(text)

    def write_noun(self, np: NounPhrase) -> None:
        self.write(np)
        self.entities += [(part, self.item) for part in np.all]

    def write_placed(self, relation: str, np: NounPhrase) -> None:
        """An object or a place, standing in a relation to the subject; without one, a subject."""
        if self.item is None:
            self.start_subject(np)
            return
        self.write(relation, comma=relation.startswith(SEPARATE) and self.item.placed > 0)
        self.write_noun(np)
        self.item.placed += 1

    def write_added(self, words: str) -> None:
        self.write(words)
        self.added.append(words)

    def set_start(self, way: str) -> None:
        """Leave room for the motion: the mover starts on the side it moves away from."""
        if self.item and self.item.position is None and way in START:
            self.item.position = START[way]
            self.write_added(START[way])
            self.item.placed += 1

    def find(self, np: NounPhrase) -> Item | None:
        """The item that holds the same thing already: "the ball" after "a blue ball"."""
        if not np.definite:
            return None
        if np.tail:  # "the front of the table"
            return self.find(np.tail) if np.head in lexicon()["framing"] else None
        for known, item in self.entities:
            if known.head == np.head and set(np.attributes) <= set(known.attributes):
                return item
        return None
