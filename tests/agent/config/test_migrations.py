from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from byoi_agent.config import migrations
from byoi_agent.config.migrations import STEPS, BothSet, Step, for_newer, for_older, understood
from byoi_agent.config.settings import Settings

FIRST = Path(__file__).with_name("first_settings.txt")

LATER = (
    Step("the first"),
    Step(
        "a share of the night",
        added=frozenset({"eco", "models.boost", "shiny"}),
        moved={"engine_key": "engine_api_key", "idle": "rest", "protect.x": "rest.y"},
        choices={"mode": frozenset({"eco"})},
    ),
    Step(
        "one more",
        added=frozenset({"rest.z"}),
        moved={"engine_api_key": "secret", "models.name": "models.model"},
    ),
)

WHOLE = '''# my file
mode = "eco"   # green
secret = "a"  # mine
shiny = """
#[settings 2] a text, and no mark
"""
slots = 2

# about rest
[rest]
minutes = 5
y = 3 # moved
z = [
 1, # one
 2,
]

[protect]
a = 1

[[models]]
model = "a"
boost = true

[[models]]
model = "b"

[eco] # all of it
thing = 1
'''


def names_in(schema, definitions, at=""):
    """Every setting by its whole name, those in tables too."""
    found = set()
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    for name, each in schema.get("properties", {}).items():
        found |= {at + name} | names_in(each, definitions, f"{at}{name}.")
    for inner in [*schema.get("anyOf", []), *schema.get("prefixItems", [])]:
        found |= names_in(inner, definitions, at)
    if isinstance(schema.get("items"), dict):
        found |= names_in(schema["items"], definitions, at)
    return found


def test_every_setting_is_of_the_first_ones_or_has_its_step():
    schema = Settings.model_json_schema()
    known = set(FIRST.read_text(encoding="utf-8").split())
    for step in STEPS:
        known = {migrations.renamed(name, step) for name in known} | step.added
    present = names_in(schema, schema["$defs"])
    told = (
        "add a Step to config/migrations.py, which says how an older version lives without them "
        f"(before the first release is out: a line in {FIRST.name})"
    )
    assert present - known == set(), told
    assert known - present == set(), told


def test_an_older_version_gets_what_it_knows_and_the_rest_waits_as_comments():
    older = for_older(WHOLE, 1, LATER)
    assert tomllib.loads(older) == {
        "slots": 2,
        "engine_key": "a",
        "idle": {"minutes": 5},
        "protect": {"a": 1, "x": 3},
        "models": [{"name": "a"}, {"name": "b"}],
    }
    assert "#[settings 2] [eco] # all of it\n#[settings 2] thing = 1\n" in older
    assert older.startswith('# my file\n#[settings 2] mode = "eco"   # green\n')


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_what_was_set_aside_comes_back_to_the_byte(schema):
    older = for_older(WHOLE, schema, LATER)
    assert for_older(older, schema, LATER) == older
    assert for_newer(older, LATER) == WHOLE
    assert for_newer(older, LATER[:schema]) == older


TOP = ['mode = "eco"', 'secret = "a"  # mine', "slots = 2", "# a word", "rest.y = 3"]
TABLES = ["[rest]\ny = 1", "[rest]", "[protect]", "[protect]\na = 1", "[eco]\nthing = 1", "# end"]


@given(
    st.lists(st.sampled_from(TOP), unique=True),
    st.lists(st.sampled_from(TABLES), unique=True),
    st.sampled_from(["", "\n", "\n\n"]),
    st.sampled_from([1, 2]),
)
@example([], ["[rest]\ny = 1", "[protect]"], "", 1)
@example(["rest.y = 3"], ["[protect]"], "\n", 1)
def test_however_a_file_ends_it_is_understood_and_comes_back(top, tables, end, schema):
    text = "\n".join([*top, *tables]) + end
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:  # a table twice
        return
    older = for_older(text, schema, LATER)
    tomllib.loads(older)
    assert for_older(older, schema, LATER) == older
    assert for_newer(older, LATER) == text


def test_a_file_that_every_version_knows_stays_as_it_is():
    text = "# mine\r\nslots = 2\r\n\r\n[[models]]\r\n# none"
    assert for_older(text, 1, LATER) == text
    assert for_older(text, 1) == for_newer(text) == text


def test_what_the_owner_changes_meanwhile_by_hand_stays_changed():
    older = for_older(WHOLE, 1, LATER)
    edited = older.replace("# my file", "# our file").replace("slots = 2", "slots = 4")
    assert for_newer(edited, LATER) == WHOLE.replace("my", "our").replace("slots = 2", "slots = 4")


def test_a_setting_that_is_changed_by_its_former_name_keeps_the_change():
    older = for_older(WHOLE, 1, LATER)
    newer = tomllib.loads(for_newer(older.replace('engine_key = "a"', 'engine_key = "b"'), LATER))
    assert understood(newer, LATER)["secret"] == "b"
    assert newer["mode"] == "eco"


def test_a_setting_that_is_taken_out_by_its_former_name_stays_out():
    lines = for_older(WHOLE, 1, LATER).splitlines(keepends=True)
    newer = for_newer("".join(each for each in lines if not each.startswith("engine_key")), LATER)
    assert "secret" not in newer
    assert newer == WHOLE.replace('secret = "a"  # mine\n', "")


def test_a_choice_of_the_time_in_between_holds_and_the_other_one_stays_a_comment():
    older = for_older(WHOLE, 1, LATER)
    newer = for_newer(older.replace("slots = 2", 'slots = 2\nmode = "idle"'), LATER)
    assert tomllib.loads(newer)["mode"] == "idle"
    assert newer.startswith('# my file\n#[settings 2] mode = "eco"   # green\n')
    assert tomllib.loads(newer)["shiny"]


def test_nothing_is_touched_where_it_would_become_no_toml():
    text = "#[settings 2] [eco]\n#[settings 2] thing = 1\n[eco]\nthing = 2\n"
    assert for_newer(text, LATER) == text


def test_a_mark_that_no_version_made_is_a_line_like_the_others():
    assert for_newer("#[settings 2] slots = 3\n#[settings 9] x = 1\n", LATER) == (
        "slots = 3\n#[settings 9] x = 1\n"
    )
    broken = "#[settings 2] slots = 3\nx = [[\n"
    assert for_newer(broken, LATER) == broken


def test_settings_between_brackets_are_written_anew_without_what_is_new():
    text = 'models = [{ model = "a", boost = true }, { model = "b", load = "start" }]\n'
    older = for_older(text, 1, LATER)
    assert tomllib.loads(older) == {"models": [{"name": "a"}, {"name": "b", "load": "start"}]}
    assert for_newer(older, LATER) == text


def test_a_setting_that_came_from_a_table_that_nobody_opened_goes_back_there():
    older = for_older("rest.y = 3\nrest.minutes = 1\n", 1, LATER)
    assert tomllib.loads(older) == {"protect": {"x": 3}, "idle": {"minutes": 1}}
    older = for_older("[rest]\ny = 3\n", 1, LATER)
    assert tomllib.loads(older) == {"protect": {"x": 3}, "idle": {}}
    assert for_newer(older, LATER) == "[rest]\ny = 3\n"


def test_an_array_of_tables_that_moved_is_one_before_too():
    steps = (Step("the first"), Step("later", moved={"model_list": "models"}))
    text = '[[models]]\nmodel = "a"\n[[models]]\nmodel = "b"\n'
    older = for_older(text, 1, steps)
    assert tomllib.loads(older) == {"model_list": [{"model": "a"}, {"model": "b"}]}
    assert for_newer(older, steps) == text


def test_a_name_of_before_has_its_present_one_alone_and_in_a_table_that_moved():
    names = ("engine_key", "idle.minutes", "protect.x", "slots", "idleness")
    assert [migrations.renamed(name, LATER[1]) for name in names] == [
        "engine_api_key", "rest.minutes", "rest.y", "slots", "idleness",
    ]  # fmt: skip


def test_names_of_before_are_understood():
    table = {
        "engine_key": "a",
        "idle": {"minutes": 5},
        "protect": {"x": 3},
        "models": [{"name": "a"}, {"model": "b"}, 7],
        "slots": 2,
    }
    assert understood(table, LATER) == {
        "secret": "a",
        "rest": {"minutes": 5, "y": 3},
        "protect": {},
        "models": [{"model": "a"}, {"model": "b"}, 7],
        "slots": 2,
    }
    assert understood({"protect": 1}, LATER) == {"protect": 1}


def test_a_setting_by_both_its_names_is_no_guess():
    with pytest.raises(BothSet, match="'engine_api_key' is called 'secret' now, and both are set"):
        understood({"engine_key": "a", "secret": "b"}, LATER)
    with pytest.raises(BothSet, match=r"'protect\.x' is called 'rest\.y' now"):
        understood({"protect": {"x": 1}, "rest": 7}, LATER)
