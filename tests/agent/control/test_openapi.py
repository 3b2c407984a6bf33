from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from byoi_agent.control.openapi import describe
from byoi_agent.control.routing import Nothing, Refuses, Route
from byoi_agent.errors import ConfigError


class Wanted(BaseModel):
    """What is wanted."""

    model_config = ConfigDict(extra="forbid")

    name: str
    kind: Literal["a", "b"] = "a"


class Got(BaseModel):
    """What came of it."""

    wanted: Wanted
    count: int = 0


async def never(_asked):
    raise AssertionError


GET = Route("GET", "/api/things", never, "Things.", Wanted, Got)
PUT = Route(
    "PUT",
    "/api/things/{id}",
    never,
    "Change one.",
    Wanted,
    Got,
    status=202,
    expects="name is a text",
    refuses=(Refuses(409, "it is taken", ConfigError),),
)
STREAM = Route("GET", "/api/live", never, "Live.", Nothing, media="text/event-stream")


def test_what_a_get_takes_stands_in_its_query():
    operation = describe([GET])["paths"]["/api/things"]["get"]
    told = {one["name"]: (one["in"], one["required"]) for one in operation["parameters"]}
    assert told == {"name": ("query", True), "kind": ("query", False)}
    assert "requestBody" not in operation


def test_a_change_has_a_body_a_place_and_its_refusals():
    operation = describe([PUT])["paths"]["/api/things/{id}"]["put"]
    assert [(one["name"], one["in"]) for one in operation["parameters"]] == [("id", "path")]
    assert operation["requestBody"]["required"]
    answers = operation["responses"]
    assert answers["400"]["description"] == "What was sent does not fit: name is a text."
    assert answers["409"]["description"] == "It is taken."
    assert {"202", "401", "403", "408", "413", "500", "503"} <= answers.keys()


def test_models_are_told_once_and_by_name():
    document = describe([GET, PUT])
    assert {"Wanted", "Got", "Refused"} <= {
        name.partition("-")[0] for name in document["components"]["schemas"]
    }
    operations = document["paths"].values()
    names = [one["operationId"] for each in operations for one in each.values()]
    assert len(set(names)) == len(names)


def test_a_stream_is_told_as_what_it_is():
    answers = describe([STREAM])["paths"]["/api/live"]["get"]["responses"]
    assert list(answers["200"]["content"]) == ["text/event-stream"]
    assert "400" not in answers
