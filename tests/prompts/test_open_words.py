"""Words of no list: what the dictionary and the learnt weights make of them."""

import random

import pytest

from dev.tagger import examples, learn, read_tagged
from fvg_core.prompts import rewrite
from fvg_core.prompts.dictionary import ENDINGS, VERB_FORMS, readings
from fvg_core.prompts.lexicon import VERB_KINDS, lexicon
from fvg_core.prompts.open_words import LISTS, TAGS, best, choose, possible, weights
from fvg_core.prompts.tagger import tag
from fvg_core.prompts.tokens import tokenise

KINDS = (*VERB_KINDS, "base!", "s!", "ing!", "past!")
FORMS = ("noun", "nouns", "adj", "adv", "?", "-", *(f"-{end}" for end in ENDINGS))
FORMS += tuple(f"verb-{form}" for form in VERB_FORMS.values())


def tags(text: str) -> dict[str, str]:
    return {token.lower: token.tag for token in tag(tokenise(text))}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("refuses", {"verb-s"}),
        ("drums", {"nouns", "verb-s"}),
        ("mossy", {"adj"}),
        ("moss-covered", {"-", "verb-past"}),
        ("zorples", {"-s"}),
        ("qwzx", {"?"}),
    ],
)
def test_the_dictionary_knows_what_a_word_can_be(word, expected):
    assert set(readings(word)) == expected


@pytest.mark.parametrize(
    ("text", "verbs"),
    [
        ("The blicket zorples, and the fribbit on the perch snorfs.", {"zorples", "snorfs"}),
        ("Three wugs zorple, snorf and blick above the shipyard.", {"zorple", "snorf", "blick"}),
        ("A wug in ripped dungarees zorples the turnstile.", {"zorples"}),
        ("Rain drums on the bonnet of a mossy jeep.", {"drums"}),
        ("The tiger cub bats at its mother's tail.", {"bats"}),
        ("Two cups wait; one falls, another wakes.", {"wait", "falls", "wakes"}),
        ("The toddler, having emptied the flour bag, giggles.", {"emptied", "giggles"}),
        ("An ornate table laid with six porcelain plates, a roast goose in the middle.", set()),
        ("A barn owl that quarters low over the marsh.", {"quarters"}),
        (
            "A red circle moves left and a red circle moves left and a red square remains still on "
            "a black background.",
            {"moves", "remains"},
        ),
    ],
)
def test_verbs_that_no_list_has_are_found_by_their_place(text, verbs):
    assert not any(word in lexicon().verbs for word in verbs if "z" in word)
    assert {word for word, name in tags(text).items() if name == "verb"} == verbs


def test_the_weights_read_the_tagged_prompts():
    data = examples(read_tagged())
    right = sum(best(each.found[0], weights()) == each.tag for each in data)
    assert right >= 0.99 * len(data)
    assert all(set(values) <= set(TAGS) for values in weights().values())


def test_no_feature_names_an_open_word():
    """A word that the tagged prompts have and one that they lack weigh the same."""
    named = {feature.split("|")[0] for feature in weights()}
    assert named <= {"", *LISTS, *KINDS, *FORMS}, named


def test_prompts_that_were_not_learnt_from_are_read_nearly_as_well():
    prompts = read_tagged()
    random.Random(0).shuffle(prompts)
    table = learn(examples(prompts[200:]), rounds=3)
    unseen = examples(prompts[:200])
    right = sum(best(each.found[0], table) == each.tag for each in unseen)
    assert right >= 0.95 * len(unseen)


def test_what_grammar_rules_out_is_hardly_ever_so():
    ruled_out = []
    for prompt in read_tagged():
        right = iter([t.tag for t in prompt])
        tokens = tokenise(" ".join(t.text for t in prompt))
        if [t.lower for t in tokens] != [t.lower for t in prompt]:
            continue
        tags = {id(token): name for token, name in zip(tokens, right, strict=True)}

        def answer(token, left, following, tags=tags):
            name = tags[id(token)]
            if name in TAGS and name not in possible(token, left, following):
                ruled_out.append((token.lower, name))
            return name

        tag(tokens, answer)
    assert len(ruled_out) <= 5, ruled_out


def test_learning_twice_gives_the_same():
    data = examples(read_tagged()[:40])
    assert learn(data, rounds=2) == learn(data, rounds=2)


def test_another_reader_of_open_words_may_be_given():
    asked = []

    def everything_is_a_noun(token, left, following):
        asked.append(token.lower)
        return "noun"

    found = tag(tokenise("A dog runs."), everything_is_a_noun)
    assert asked == ["dog", "runs"]
    assert [token.tag for token in found] == ["det", "noun", "noun", "."]
    assert choose is not everything_is_a_noun


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("A castle of sand is being worn down by rain.", "A castle of sand near rain."),
        ("Leaves zorple earthward past a barn.", "Leaves near a barn."),
        ("With a wave of his hat, a clown skips.", "A clown standing, poised before the action."),
        ("A dog returns with a stick.", "A dog standing, poised before the action."),
        ("The pond glistens with dew.", "The pond."),
        ("A chimney zorples black smoke and soot.", "A chimney."),
        ("A door opens and a ghost appears.", "A door."),
        ("A road runs past, and a fight breaks out.", "A road."),
        ("A roof changes from wet to dry, inch by inch.", "A wet roof."),
        ("A roof shrinks to a hut with a door.", "A roof."),
        ("A stain traces a heart.", "A stain."),
        ("A kite loses its grip.", "A kite."),
        ("A truck throws up a cloud of dust.", "A truck."),
        ("A radio plays a tango.", "A radio."),
        ("A pillow explodes in feathers.", "A pillow."),
        ("A bottle bursts, spraying foam over a sign.", "A bottle near a sign."),
        ("Two buses line up by a kerb.", "Two buses near a kerb."),
        ("A balloon gains height.", "A balloon."),
        ("A kite takes wing.", "A kite."),
        ("A lamp dies and comes back to life.", "A lamp."),
        ("A box drops a coin.", "A box with a coin."),
        ("A lake freezes; weeks pass, and a reed grows.", "A lake."),
        ("A roof rusts until it is as red as a rose.", "A roof."),
        ("Two trucks wait, and a pink cloud with sparks emerges.", "Two trucks waiting."),
        ("A roof caramelises to a dark amber.", "A roof."),
        ("A roof is being covered with a mural.", "A roof."),
        ("The pond, after a long pause, is still.", "The pond."),
        ("A roof is flattened by hail.", "A roof."),
    ],
)
def test_what_comes_later_is_left_out(prompt, shown):
    assert rewrite(prompt).first_frame_prompt == shown


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("A shed whose upper shelf holds a jar.", "A shed with an upper shelf holding a jar."),
        ("A cart whose roof is torn is sold.", "A cart whose roof is torn."),
        (
            "A smith whose apron is torn hammers a rod.",
            "A smith whose apron is torn, with a rod.",
        ),
        ("A car is parked behind a tree.", "A car is parked behind a tree."),
        ("The roof is torn and muddy.", "The roof is torn and muddy."),
        ("Of the two cats asleep in a hut, one wakes.", "Of the two cats asleep in a hut, one."),
        ("Three carts roll in two rows.", "Three carts in two rows."),
        ("Three carts roll in a line.", "Three carts in a line."),
        ("A cart hits the opposite wall.", "A cart near the opposite wall."),
        ("A drone hovers above a roof.", "A drone hovering above a roof."),
        ("Rocks fall down the gully.", "Rocks high in the frame, at the top of the gully."),
    ],
)
def test_what_is_there_stays(prompt, shown):
    assert rewrite(prompt).first_frame_prompt == shown
