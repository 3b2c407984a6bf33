"""docs/errors.md lists every status and code that a client can be given, and no other."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from byoi_console.api import errors as api_errors
from byoi_console.errors import LedgerUnavailable, LimitExceeded, TooManyAttempts
from byoi_console.gateway import errors
from byoi_console.nodes import devices
from byoi_wire.messages import ResetCode

ROOT = Path(__file__).resolve().parents[2]
WIRE, CONSOLE = ROOT / "wire" / "byoi_wire", ROOT / "console" / "byoi_console"
INVALID = [*WIRE.glob("request*.py"), CONSOLE / "gateway" / "idempotency.py"]
BROKEN = [CONSOLE / "gateway" / "http1.py", CONSOLE / "gateway" / "connection.py"]
ENGINE = [ROOT / "agent" / "byoi_agent" / "engine" / "kinds" / "errors.py"]
REFUSALS = sorted((CONSOLE / "nodes").rglob("*.py"))

Pair = tuple[int, str | None]


@pytest.fixture(scope="module")
def sections(docs) -> dict[str, str]:
    """Heading of the page → the text below it."""
    text = (docs / "errors.md").read_text()
    _, *rest = re.split(r"^## +(.+)$", text, flags=re.MULTILINE)
    return dict(zip(rest[::2], rest[1::2], strict=True))


def pairs_in(text: str) -> set[Pair]:
    """Status and code of each row of the tables."""
    rows = re.findall(r"^\| (\d{3}) \| (?:`(\w+)`|none) \|", text, re.MULTILINE)
    return {(int(status), code or None) for status, code in rows}


def calls(files, *names: str):
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in names:
                yield node


def code_of(call: ast.Call, position: int) -> str | None:
    given = [each.value for each in call.keywords if each.arg == "code"]
    given += call.args[position : position + 1]
    return given[0].value if given and isinstance(given[0], ast.Constant) else None


def pair_of(error) -> Pair:
    answer = errors.answer_to(error)
    return answer.status, json.loads(answer.body)["error"]["code"]


def refused_requests() -> set[Pair]:
    found = {(400, code_of(call, 2)) for call in calls(INVALID, "RequestInvalid")}
    found |= {(400, code_of(call, 2) or "invalid_value") for call in calls(INVALID, "refuse")}
    return found


def whole_answers() -> set[Pair]:
    found = {(status, code) for status, _, code in errors._PLAIN.values()}
    found.add(pair_of(LimitExceeded("max_concurrent", "", 1.0, {})))
    found.add(pair_of(TooManyAttempts(1.0)))
    found.add(pair_of(LedgerUnavailable("")))
    found.update(pair_of(errors.Unserved(code, "")) for code in errors._TEXTS)
    internal = errors.internal()
    found.add((internal.status, json.loads(internal.body)["error"]["code"]))
    return found


def broken_requests() -> set[Pair]:
    return {
        (call.args[0].value, None)
        for call in calls(BROKEN, "RequestBroken", "_refuse")
        if isinstance(call.args[0], ast.Constant)
    }


def engine_refusals() -> set[Pair]:
    """The client's own mistakes that only an engine can see; its other failures become a 503."""
    found = set()
    for node in ast.walk(ast.parse(ENGINE[0].read_text())):
        is_pair = isinstance(node, ast.Tuple) and isinstance(node.elts[0], ast.Constant)
        if is_pair and node.elts[0].value == 400 and isinstance(node.elts[-1], ast.Call):
            found.add((400, code_of(node.elts[-1], 9)))
    return found


def test_every_answer_of_the_gateway_has_a_row(sections):
    known = refused_requests() | whole_answers() | broken_requests() | engine_refusals()
    assert pairs_in(sections["Answers of `/v1`"]) == known


def test_every_code_of_an_error_event_has_a_row(sections):
    told = set(re.findall(r"^\| `(\w+)` \|", sections["In the middle of a stream"], re.MULTILINE))
    cut = {errors.code_of(code) for code in ResetCode}
    assert told == cut
    assert cut <= set(errors._TEXTS)


def test_every_answer_of_the_api_has_a_row(sections):
    known = {(status, code) for status, _, code in api_errors._ANSWERS.values()}
    known.discard((401, None))  # an enrolment's refusal brings its own code
    known |= {(401, code_of(call, 0)) for call in calls(REFUSALS, "EnrolmentRefused")}
    known.add((api_errors._UNAVAILABLE[0], api_errors._UNAVAILABLE[2]))
    known |= {(404, "unknown_url"), (405, None), (500, None)}
    assert pairs_in(sections["Answers of `/api` and of enrolment"]) == known


def test_every_word_that_a_polling_device_is_told_has_a_row(sections):
    text = sections["Answers of `/api` and of enrolment"]
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == {"error", *devices._TOLD}
