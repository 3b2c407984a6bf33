from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byoi_wire import request_tools as tools
from byoi_wire.request_rules import RequestInvalid


def tool(parameters=None):
    return {"type": "function", "function": {"name": "f", "parameters": parameters or {}}}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "something"},
        {"type": 5},
        {"type": ["string", {}]},
        {"pattern": 5},
        {"pattern": "a" * 513},
        {"pattern": "((a{100}){100}){2}"},
        {"pattern": "a{10001}"},
        {"pattern": "a{99999999999999999999,}"},
        {"patternProperties": {"a" * 513: {}}},
        {"properties": {"x": {"type": "nope"}}},
        {"properties": []},
        {"items": [{"type": "nope"}]},
        {"items": {"pattern": "b" * 513}},
        {"anyOf": [{"not": {"type": "nope"}}]},
        {"anyOf": {}},
        {"$defs": {"a": {"type": "nope"}}},
        {"$ref": "http://10.0.0.1/schema"},
        {"$ref": 5},
        {"additionalProperties": "yes"},
        {"description": "d" * 65536},
    ],
)
def test_schemas_that_could_harm_an_engine_are_refused(schema):
    for check, value in (
        (tools.tools, [tool(schema)]),
        (
            tools.response_format,
            {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
        ),
        (tools.response_tools, [{"type": "function", "name": "f", "parameters": schema}]),
    ):
        with pytest.raises(RequestInvalid):
            check(value, "place")


def test_a_usual_schema_passes():
    tools.json_schema(
        {
            "type": "object",
            "properties": {
                "type": {"type": ["string", "null"], "enum": ["a", {"type": "nope"}]},
                "pattern": {"type": "string", "pattern": "^[a-z]{1,8}$"},
                "list": {"type": "array", "items": {"$ref": "#/$defs/x"}},
            },
            "required": ["type"],
            "additionalProperties": False,
            "$defs": {"x": {"anyOf": [{"type": "integer"}, {"const": {"pattern": 5}}]}},
        },
        "schema",
    )


def test_128_tools_pass_and_one_more_does_not():
    tools.tools([tool()] * 128, "tools")
    with pytest.raises(RequestInvalid):
        tools.tools([tool()] * 129, "tools")


@pytest.mark.parametrize(
    "value",
    [
        [{"type": "custom", "custom": {"name": "g", "format": {"type": "grammar"}}}],
        [{"type": "function"}],
        [{"type": "web_search"}],
        [{}],
        {},
    ],
)
def test_tools_beyond_functions_are_refused(value):
    with pytest.raises(RequestInvalid):
        tools.tools(value, "tools")


def test_tool_choices_are_a_word_or_one_function():
    tools.tool_choice("auto", "tool_choice")
    tools.tool_choice({"type": "function", "function": {"name": "f"}}, "tool_choice")
    tools.response_tool_choice("required", "tool_choice")
    tools.response_tool_choice({"type": "function", "name": "f"}, "tool_choice")
    with pytest.raises(RequestInvalid):
        tools.response_tool_choice({"type": "mcp"}, "tool_choice")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["type", "pattern", "items", "properties", "anyOf", "$ref", "not"]),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_any_schema_passes_or_is_refused(schema):
    param = "schema"
    try:
        tools.json_schema(schema, "schema")
    except RequestInvalid as error:
        param = error.param
    assert (param or "").startswith("schema")
