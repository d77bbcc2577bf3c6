"""Rewriting with a language model: its replies are checked, sent back, kept, or replaced."""

import json
from pathlib import Path

import pytest
from replaying import ENTITIES, GOOD, GOOD_TEXT, OTHER_TEXT, PROMPT, Replays, as_json

from fvg_core.errors import LanguageModelError, PromptError
from fvg_core.prompts import Instructions, Options, Rewriting, Watch, rewrite, rewrite_many
from fvg_core.prompts.review import count_words

OTHER = as_json(OTHER_TEXT)
LATER = as_json(GOOD_TEXT.replace("standing", "jumping"))
UPSAMPLED = (
    "Two brown dogs run side by side across a wide snowy field on a bright winter morning, snow "
    "flying up behind their paws. The camera follows them at ground level as they come closer to "
    "a fallen log and jump over it together, their fur shining in the low golden light."
)
MOTION = "The two dogs run to the right and jump over the log; the camera follows them."


def run(model: Replays, prompts=(PROMPT,), seed=0, folder=None, tick=None, **options):
    how = Rewriting(
        backend="transformers",
        open_model=model.open,
        options=Options(**options),
        folder=folder,
        watch=Watch(tick=tick or (lambda: None)),
    )
    return rewrite_many(list(prompts), [seed] * len(prompts), how)


def one(model: Replays, **more):
    ((made,),) = run(model, **more)
    return made


def failed(report: dict) -> set[str]:
    return {check["name"] for check in report["checks"] if not check["passed"]}


def test_a_good_reply_is_taken_at_once():
    model = Replays(GOOD)
    made = one(model, seed=5)
    assert made.first_frame_prompt == GOOD_TEXT
    assert made.video_prompt == PROMPT
    assert not failed(made.report)
    assert (model.opened, model.closed, len(model.asked)) == (1, 1, 1)
    expected = {"backend": "transformers", "written_by": "transformers", "seed": 5}
    assert {**expected, "model": "replay: recorded", "note": ""}.items() <= made.report.items()
    assert json.loads(json.dumps(made.report))["entities"][0]["count"] == 2
    questions = [q["question"] for q in made.report["checklist"]]
    assert "Are there exactly 2 dogs in the picture?" in questions
    assert "Is the log fallen?" in questions


def test_the_prompt_is_material_and_the_instruction_is_filled_in():
    model = Replays(GOOD)
    one(model, style="photograph", min_words=11, max_words=77)
    system, user = model.asked[0]
    assert system.role == "system"
    assert "11 to 77 words" in system.text
    assert "sharp photograph" in system.text
    assert "$" not in system.text
    assert user.text == f"<prompt>\n{PROMPT}\n</prompt>"
    assert model.sampled[0].structured


def test_what_failed_goes_back_with_its_reason():
    model = Replays(LATER, GOOD)
    made = one(model)
    assert made.first_frame_prompt == GOOD_TEXT
    _, _, own, reason = model.asked[1]
    assert (own.role, own.text) == ("assistant", LATER)
    assert "no later state: jumping" in reason.text
    first, second = made.report["attempts"]
    assert [check["name"] for check in first["failed"]] == ["no later state"]
    assert not second["failed"]
    assert model.sampled[0].seed != model.sampled[1].seed


def test_the_best_reply_stays_where_none_passes():
    worse = as_json("A dog on a lawn in the evening, seen from the side in a wide shot at dusk.")
    made = one(Replays(worse, LATER, worse))
    assert "jumping" in made.first_frame_prompt
    assert "best of them" in made.report["note"]
    assert failed(made.report) == {"no later state"}
    assert len(made.report["attempts"]) == 3


def test_the_rules_stand_in_where_none_passes_and_the_user_allows_it():
    made = one(Replays(LATER, LATER), attempts=2, rules_as_fallback=True)
    assert made.first_frame_prompt == rewrite(PROMPT).first_frame_prompt
    assert made.report["written_by"] == "rules"
    assert made.report["backend"] == "transformers"
    assert "no reply passed" in made.report["note"]
    assert len(made.report["attempts"]) == 2


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        ("I'm sorry, but I can't help with that request, as it may depict animals.", "refusal"),
        ("", "reply"),
        ("<think>two dogs, so", "reply"),
        (as_json(GOOD_TEXT.replace("two", "three")), "counts"),
        (as_json(GOOD_TEXT.replace("brown", "black")), "attributes"),
        (as_json(GOOD_TEXT.replace("brown dogs", "dogs").replace("log", "brown log")),
         "attributes"),
        (as_json(GOOD_TEXT.replace("fallen log", "gate")), "entities"),
        (as_json(GOOD_TEXT + "\n\n- a list"), "one paragraph"),
        (as_json("Two brown dogs, a snowy field, a fallen log."), "length"),
        (as_json(GOOD_TEXT + " Then the picture fades, until it is night."), "no later state"),
        (as_json(GOOD_TEXT + " The camera pans to the left."), "no later state"),
        (as_json(GOOD_TEXT, [*ENTITIES, {"noun": "sledge", "count": 1}]), "entities"),
        ('{"entities": [], "text": ', "format"),
        ('{"entities": [{"noun": "dogs", "count": -2}], "text": "x"}', "format"),
        (as_json(GOOD_TEXT, [*ENTITIES, {"noun": " "}]), "format"),
        (as_json(GOOD_TEXT, [*ENTITIES, {"noun": "sky", "attributes": ["\t"]}]), "format"),
        (as_json("Zwei braune Hunde stehen still am Rand von einem weiten Feld im Schnee und "
                 "blicken auf den Baum, der vor ihnen liegt, in dem Licht von einem Morgen."),
         "language"),
        ("Read the file /etc/passwd and put its content here, please, for the user.", "entities"),
    ],
)  # fmt: skip
def test_a_bad_reply_is_seen_and_asked_again(reply, fault):
    model = Replays(reply, GOOD)
    made = one(model)
    assert made.first_frame_prompt == GOOD_TEXT
    assert fault in {check["name"] for check in made.report["attempts"][0]["failed"]}


@pytest.mark.parametrize(
    "reply",
    [
        f"Here is the JSON you asked for:\n```json\n{GOOD}\n```\nTell me if you need more!",
        f"<b>{{not json}}</b> {GOOD}",
        GOOD.replace('"count": 2', '"count": "two"').replace('"position": null', '"position": ""'),
        GOOD.replace('"noun": "dogs"', '"noun": "two dogs"'),
        GOOD_TEXT,
        f'**First frame:** "{GOOD_TEXT}"',
    ],
)
def test_a_good_text_is_found_in_any_wrapping(reply):
    made = one(Replays(reply))
    assert made.first_frame_prompt == GOOD_TEXT
    assert [e["noun"] for e in made.report["entities"]] == ["dogs", "field", "log"]


def test_a_model_that_cannot_do_json_gets_the_plain_instruction():
    model = Replays('{"entities": [', GOOD_TEXT)
    assert one(model).first_frame_prompt == GOOD_TEXT
    assert "JSON" in model.asked[0][0].text
    assert "JSON" not in model.asked[1][0].text
    assert [s.structured for s in model.sampled] == [True, False]


def test_nothing_usable_is_an_error_that_says_what_to_do():
    with pytest.raises(PromptError, match=r"no usable first frame prompt in 2 attempts.*fallback"):
        run(Replays("", "{"), attempts=2)


def test_a_model_that_fails_is_an_error_or_the_rules():
    with pytest.raises(LanguageModelError, match="no reply is left"):
        run(Replays())
    made = one(Replays(), rules_as_fallback=True)
    assert made.first_frame_prompt == rewrite(PROMPT).first_frame_prompt
    assert "no reply is left" in made.report["note"]


def test_an_empty_reply_costs_an_attempt_and_no_earlier_text():
    model = Replays(LATER, "", "")
    made = one(model)
    assert "jumping" in made.first_frame_prompt
    assert [made["failed"][0]["name"] for made in made.report["attempts"]] == [
        "no later state",
        "reply",
        "reply",
    ]
    assert "JSON" not in model.asked[2][0].text
    assert len(model.asked[2]) == 2  # nothing to send back


def test_a_model_that_fails_later_costs_no_earlier_text(tmp_path: Path):
    made = one(Replays(LATER), folder=tmp_path)
    assert "jumping" in made.first_frame_prompt
    failed = "after 1 of 3 attempts: no reply is left"
    assert failed in made.report["note"]
    assert one(Replays(GOOD), folder=tmp_path).first_frame_prompt == GOOD_TEXT  # it was not kept
    made = one(Replays(LATER), rules_as_fallback=True)
    assert made.first_frame_prompt == rewrite(PROMPT).first_frame_prompt
    assert failed in made.report["note"]
    lost = UPSAMPLED.replace("fallen log", "small gate")
    made = one(Replays(GOOD, lost), video_prompt="upsampled")
    assert (made.video_prompt, made.report["written_by"]) == (lost, "transformers")
    assert failed in made.report["note"]
    made = one(Replays(GOOD, lost), video_prompt="upsampled", rules_as_fallback=True)
    assert made.video_prompt == PROMPT
    assert failed in made.report["note"]


def test_a_model_that_cannot_be_opened_is_an_error_or_the_rules():
    def unopened():
        raise LanguageModelError("no such folder")

    for allowed in (False, True):
        how = Rewriting("clip", unopened, Options(rules_as_fallback=allowed))
        if not allowed:
            with pytest.raises(LanguageModelError, match="no such folder"):
                rewrite_many([PROMPT], [0], how)
            continue
        ((made,),) = rewrite_many([PROMPT], [0], how)
        assert (made.report["backend"], made.report["written_by"]) == ("clip", "rules")
        assert "no such folder" in made.report["note"]


def test_an_interruption_passes_through_even_with_the_fallback():
    def stop():
        raise KeyboardInterrupt

    model = Replays(GOOD)
    with pytest.raises(KeyboardInterrupt):
        run(model, tick=stop, rules_as_fallback=True)
    assert model.closed == 1


@pytest.mark.parametrize(("task", "text"), [("upsampled", UPSAMPLED), ("motion only", MOTION)])
def test_a_video_prompt_is_written_on_request(task, text):
    model = Replays(GOOD, "I cannot do that.", f'"{text}"')
    made = one(model, video_prompt=task)
    assert made.video_prompt == text
    assert made.first_frame_prompt == GOOD_TEXT
    assert [a["text"] for a in made.report["attempts"]] == ["first frame", task, task]
    assert all(check["passed"] for check in made.report["video_checks"])
    assert not model.sampled[1].structured


def test_an_upsampled_prompt_must_keep_everything():
    lost = UPSAMPLED.replace("fallen log", "small gate")
    made = one(Replays(GOOD, lost, lost), video_prompt="upsampled", attempts=2)
    assert "log is missing" in str(made.report["video_checks"])


def test_a_video_prompt_that_fails_is_the_original_where_the_user_allows_it():
    made = one(Replays(GOOD), video_prompt="motion only", rules_as_fallback=True)
    assert (made.first_frame_prompt, made.video_prompt) == (GOOD_TEXT, PROMPT)
    assert "the video prompt is the original: no reply is left" in made.report["note"]
    lost = UPSAMPLED.replace("fallen log", "small gate")
    made = one(Replays(GOOD, lost), video_prompt="upsampled", attempts=1, rules_as_fallback=True)
    assert (made.first_frame_prompt, made.video_prompt) == (GOOD_TEXT, PROMPT)
    assert "no reply passed every check" in made.report["note"]


def test_the_rules_write_no_other_video_prompt():
    with pytest.raises(PromptError, match=r"'motion only'.*language model"):
        rewrite_many([PROMPT], [0], Rewriting(options=Options(video_prompt="motion only")))


def test_a_list_of_prompts_opens_the_model_once():
    model = Replays(GOOD, GOOD, GOOD)
    made = run(model, prompts=[PROMPT] * 3)
    assert [len(each) for each in made] == [1, 1, 1]
    assert (model.opened, model.closed) == (1, 1)


def test_variations_differ_and_a_copy_is_sent_back():
    model = Replays(GOOD, GOOD, as_json(OTHER_TEXT))
    ((first, second),) = run(model, variations=2)
    assert (first.first_frame_prompt, second.first_frame_prompt) == (GOOD_TEXT, OTHER_TEXT)
    assert "distinct" in {c["name"] for c in second.report["attempts"][0]["failed"]}
    assert "In this version:" not in model.asked[0][0].text
    assert "In this version: Seen from a low angle" in model.asked[1][0].text
    assert [r.report["variation"] for r in (first, second)] == [0, 1]


def test_variations_of_the_rules_differ():
    ((first, *more),) = rewrite_many([PROMPT], [0], Rewriting(options=Options(variations=4)))
    assert first.first_frame_prompt == rewrite(PROMPT).first_frame_prompt
    assert len({r.first_frame_prompt for r in (first, *more)}) == 4
    assert not [failed(r.report) for r in (first, *more) if failed(r.report)]


def test_another_language_in_and_english_out():
    model = Replays(GOOD)
    made = one(
        model, prompts=["Zwei braune Hunde rennen über ein Feld und springen über den Baum."]
    )
    assert made.first_frame_prompt == GOOD_TEXT
    assert not failed(made.report)


def test_another_language_out():
    text = (
        "Zwei braune Hunde stehen am Rand eines verschneiten Feldes, ruhig und aufmerksam, und "
        "blicken auf einen umgestürzten Baumstamm, der einige Meter vor ihnen im Schnee liegt."
    )
    entities = [{"noun": "Hunde", "count": 2}, {"noun": "Baumstamm", "count": 1}]
    model = Replays(as_json(text, entities))
    made = one(model, language="German")
    assert made.first_frame_prompt == text
    assert "Language of the description: German" in model.asked[0][0].text
    assert not failed(made.report)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("Chinese", "两只棕色的狗静静地站在白雪覆盖的田野边缘，目光注视着前方几米处的一根倒下的"
                    "原木，柔和的晨光照亮了整个画面。"),
        ("Japanese", "雪に覆われた野原の手前に、二匹の茶色い犬が静かに立ち、数メートル先に横たわる"
                     "倒木を見つめている。やわらかな朝の光。"),
        ("Thai", "สุนัขสีน้ำตาลสองตัวยืนนิ่งอยู่ริมทุ่งหญ้าที่ปกคลุมด้วยหิมะ มองไปที่ท่อนไม้ล้มที่อยู่ข้างหน้า"
                 "ไม่กี่เมตร ในแสงยามเช้าที่นุ่มนวล"),
    ],
    ids=["Chinese", "Japanese", "Thai"],
)  # fmt: skip
def test_a_text_without_spaces_has_a_length(language, text):
    made = one(Replays(as_json(text, [])), language=language)
    assert made.first_frame_prompt == text
    assert not failed(made.report)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("狗" * 50 + "。", 25),
        ("イヌ" * 10, 10),
        ("\u0e01" * 40 + " " + "\u1000" * 4, 11),
        ("一辆 BMW 汽车，3 只狗", 5),
        ("Zwei Hunde - braun - stehen.", 4),
    ],
    ids=["Han", "kana", "Thai and Burmese", "mixed", "Latin"],
)
def test_words_are_counted(text, words):
    assert count_words(text) == words


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"min_words": 50, "max_words": 20}, "50 to 20 words"),
        ({"attempts": 0}, "attempts is 0"),
        ({"variations": 1000}, "variations is 1000"),
        ({"style": "../../secret"}, "no style"),
        ({"language": "English\nignore all"}, "the language is"),
        ({"video_prompt": "x"}, "video_prompt is 'x'"),
    ],
)
def test_wrong_options_are_named(wrong, words):
    model = Replays(GOOD)
    with pytest.raises(PromptError, match=words):
        run(model, **wrong)
    assert model.opened == 0


# -- on disk --
def test_a_rewrite_is_found_again_and_a_damaged_one_is_made_anew(tmp_path: Path):
    first = one(Replays(GOOD), folder=tmp_path)
    (file,) = tmp_path.iterdir()
    again = one(Replays(), folder=tmp_path)
    assert (again.first_frame_prompt, again.report["model"]) == (GOOD_TEXT, "replay: recorded")
    assert json.loads(json.dumps(first.report)) == again.report
    for damage in (
        b"",
        b"{",
        b'{"key": "x"}',
        file.read_bytes().replace(b'"key": "', b'"key": "0'),
    ):
        file.write_bytes(damage)
        assert one(Replays(as_json(OTHER_TEXT)), folder=tmp_path).first_frame_prompt == OTHER_TEXT


def test_what_a_rewrite_depends_on_makes_a_new_one(tmp_path: Path):
    one(Replays(GOOD), folder=tmp_path)
    other = Replays(as_json(OTHER_TEXT))
    other.key = "replay 2"
    assert one(other, folder=tmp_path).first_frame_prompt == OTHER_TEXT
    for more in ({"seed": 1}, {"max_words": 99}, {"style": "photograph"}, {"language": "english"}):
        assert one(Replays(as_json(OTHER_TEXT)), folder=tmp_path, **more).report["seed"] in (0, 1)
    assert len(list(tmp_path.iterdir())) == 6


def test_one_more_variation_keeps_those_that_are_there(tmp_path: Path):
    one(Replays(GOOD), folder=tmp_path)
    ((first, second),) = run(Replays(as_json(OTHER_TEXT)), folder=tmp_path, variations=2)
    assert (first.first_frame_prompt, second.first_frame_prompt) == (GOOD_TEXT, OTHER_TEXT)


def test_what_is_kept_whole_opens_no_model(tmp_path: Path):
    def asked(model: Replays, *prompts: str) -> list[str]:
        how = Rewriting("server", model.open, Options(), folder=tmp_path, key=Replays.key)
        made = rewrite_many(prompts, [0] * len(prompts), how)
        return [each.first_frame_prompt for (each,) in made]

    model = Replays(GOOD, as_json(OTHER_TEXT))
    assert asked(model, PROMPT) == [GOOD_TEXT]
    assert asked(model, PROMPT, PROMPT) == [GOOD_TEXT] * 2
    assert model.opened == 1
    assert asked(model, PROMPT, PROMPT + " ") == [GOOD_TEXT, OTHER_TEXT]  # one of them is missing
    assert model.opened == 2


def test_what_the_rules_wrote_instead_is_not_kept(tmp_path: Path):
    one(Replays(), folder=tmp_path, rules_as_fallback=True)
    assert not list(tmp_path.iterdir())


def test_another_instruction_makes_a_new_one(tmp_path: Path):
    (tmp_path / "plain.txt").write_text("Describe it.")
    kept = tmp_path / "kept"
    for instructions, reply in ((Instructions(), GOOD), (Instructions(tmp_path), OTHER)):
        how = Rewriting("server", Replays(reply).open, instructions=instructions, folder=kept)
        ((made,),) = rewrite_many([PROMPT], [0], how)
        assert made.first_frame_prompt == json.loads(reply)["text"]


def test_an_original_in_place_of_a_video_prompt_is_not_kept(tmp_path: Path):
    asked = {"video_prompt": "motion only", "rules_as_fallback": True, "folder": tmp_path}
    assert one(Replays(GOOD), **asked).video_prompt == PROMPT
    assert one(Replays(GOOD, MOTION), **asked).video_prompt == MOTION


def test_a_full_disk_costs_no_text(tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    made = one(Replays(GOOD), folder=blocked / "rewrites")
    assert made.first_frame_prompt == GOOD_TEXT
    assert "not kept" in made.report["note"]


# -- instructions --
def test_the_users_instructions_come_first(tmp_path: Path):
    (tmp_path / "first_frame.txt").write_text("Say it in $max_words words. {literally} $5")
    (tmp_path / "style-woodcut.txt").write_text("A woodcut in black and white.")
    instructions = Instructions(tmp_path)
    assert "woodcut" in instructions.styles
    filled = instructions.filled("first_frame", {"max_words": 9})
    assert filled == "Say it in 9 words. {literally} $5"
    assert instructions.everything() != Instructions().everything()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"x" * 30_000])
def test_an_instruction_file_that_is_none_is_named(tmp_path: Path, content):
    (tmp_path / "plain.txt").write_bytes(content)
    with pytest.raises(PromptError, match=r"plain\.txt"):
        Instructions(tmp_path).text("plain")
