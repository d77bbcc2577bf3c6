"""What the checks demand of another writer's text, read from the original prompt."""

import pytest

from fvg_core.prompts.review import review_first_frame
from fvg_core.prompts.wanted import Wanted, is_english, read_wanted


@pytest.mark.parametrize(
    ("prompt", "actions", "later"),
    [
        ("A green leaf turns red.", {"turn"}, {"red"}),
        ("A log melts into a puddle of wax.", {"melt"}, {"puddle", "wax"}),
        ("A balloon shrinks until it is a wrinkled scrap.", {"shrink"}, {"wrinkled", "scrap"}),
        ("The sky changes from pale blue to deep orange.", {"change"}, {"deep", "orange"}),
        ("A girl opens a box while a cat sleeps.", {"open"}, set()),
        ("A man turns the page and a red car waits.", {"turn"}, set()),
        ("A vase stands on a table.", set(), set()),
        ("A waiter carries a tray.", set(), set()),  # a pose, if it stands in the text
    ],
)
def test_actions_and_later_states(prompt, actions, later):
    wanted = read_wanted(prompt)
    assert (set(wanted.actions), set(wanted.later)) == (actions, later)


def test_entities_come_with_counts_and_attributes():
    entities = read_wanted("Two brown dogs chase an elderly couple past a glass door.").entities
    assert [(e.noun, e.count, e.attributes) for e in entities] == [
        ("dogs", 2, ("brown",)),
        ("couple", 1, ("elderly",)),
        ("door", 1, ("glass",)),
    ]


@pytest.mark.parametrize(
    "prompt", ["then", "Eine Katze springt auf den Tisch.", "\u732b\u304c\u8d70\u308b"]
)
def test_nothing_is_demanded_where_the_rules_cannot_read(prompt):
    assert read_wanted(prompt) == Wanted()


@pytest.mark.parametrize(
    ("text", "english"),
    [
        ("red circle moves right, blue square stays still", True),
        ("A caf\u00e9 on the Rue de la Paix in Paris at night.", True),
        ("Un perro corre por la playa con una pelota.", False),
        ("Zwei Hunde laufen \u00fcber das Feld und der Mann ruft.", False),
        ("\u0421\u043e\u0431\u0430\u043a\u0430 \u0431\u0435\u0436\u0438\u0442", False),
    ],
)
def test_english_is_told_from_other_languages(text, english):
    assert is_english(text) is english


# As a good model writes them: no check may complain.
GOOD = [
    (
        "A man in a blue shirt throws a ball to a brown dog",
        "A man in a blue shirt stands on a sunlit lawn, holding a ball at shoulder height in his "
        "right hand, his gaze fixed on a brown dog that sits a few metres away, ears raised and "
        "looking up at him. Medium-wide shot at eye level, warm afternoon light.",
    ),
    (
        "The sky changes from pale blue to deep orange over a quiet lake.",
        "A quiet lake lies perfectly still beneath a pale blue sky, its surface mirroring the soft "
        "light. Distant hills frame the water. Wide shot from the shore, clear morning light.",
    ),
    (
        "A closed tulip opens into a full red blossom in a clay pot.",
        "A closed tulip bud on a straight green stem stands in a clay pot on a windowsill. The "
        "petals are tightly shut and still mostly green. Close-up, soft light from the left.",
    ),
    (
        "A white goose waddles to the left while a black swan swims to the right.",
        "A white goose stands on the right side of a grassy bank, its body turned to the left, "
        "while a black swan rests on the calm water at the left of the frame, facing right.",
    ),
    (
        "A waiter lights a candle on a corner table for an elderly couple.",
        "A waiter leans over a corner table where an elderly couple is seated, a match in his hand "
        "next to an unlit candle. Warm, dim restaurant light, medium shot.",
    ),
    (
        "Three squirrels chase each other up two old oaks.",
        "Three squirrels crouch at the base of two old oaks, their tails raised and their eyes on "
        "one another. The tall trunks reach up out of the frame. Wide shot in autumn light.",
    ),
]


@pytest.mark.parametrize(("prompt", "text"), GOOD)
def test_good_prose_passes(prompt, text):
    checks = review_first_frame(text, (), read_wanted(prompt), words=(20, 120), language="English")
    assert not [(c.name, c.detail) for c in checks if not c.passed]
