"""The house's own rules, as far as a program can check them."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("wire", "agent", "console")
SOURCES = sorted(
    path
    for package in PACKAGES
    for path in (ROOT / package / f"byoi_{package}").rglob("*.py")
    if "migrations" not in path.parts
)
TESTS = sorted(path for package in PACKAGES for path in (ROOT / "tests" / package).rglob("*.py"))
NO_ROOM = {"common", "helper", "helpers", "lib", "misc", "shared", "util", "utils"}
LONGEST_FILE_LINES = 450
"""At 400 one asks which second thing has moved in; here there is one."""

each_source = pytest.mark.parametrize(
    "path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES]
)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_each_test_file_stands_where_its_module_stands():
    astray = []
    for path in TESTS:
        package, *rooms = path.relative_to(ROOT / "tests").parts[:-1]
        module = ROOT.joinpath(package, f"byoi_{package}", *rooms, path.name.removeprefix("test_"))
        if path.name.startswith("test_") and not module.exists():
            astray.append(f"{path.relative_to(ROOT)}: there is no {module.relative_to(ROOT)}")
    assert not astray, "\n".join(astray)


def test_tests_are_no_packages():
    assert not [str(path) for path in (ROOT / "tests").rglob("__init__.py")]


def test_no_room_is_a_drawer_for_everything():
    assert not [str(path) for path in SOURCES if NO_ROOM & {path.stem, path.parent.name}]


@pytest.mark.parametrize(
    "folder",
    sorted({path.parent for path in SOURCES}),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_room_says_what_it_is_for_and_nothing_else(folder: Path):
    init = folder / "__init__.py"
    assert init.exists(), f"{folder} has no __init__.py"
    tree = parsed(init)
    assert ast.get_docstring(tree), "one sentence: what the room is for"
    assert len(tree.body) == 1, "nothing but the sentence"


@each_source
def test_a_file_holds_one_thing(path: Path):
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST_FILE_LINES, f"{lines} lines: which second thing has moved in?"


@each_source
def test_a_task_is_started_only_in_a_group(path: Path):
    loose = [node.lineno for node in ast.walk(parsed(path)) if _starts_a_loose_task(node)]
    assert not loose, f"lines {loose}"


def _starts_a_loose_task(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    owner = ast.unparse(node.func.value)
    if node.func.attr in {"ensure_future", "gather", "run_coroutine_threadsafe"}:
        return owner == "asyncio"
    return node.func.attr == "create_task" and (
        owner == "asyncio" or owner.endswith(("loop", "loop()"))
    )


@each_source
def test_a_broad_except_says_why_or_keeps_the_traceback(path: Path):
    words = _words_of_comments(path)
    silent = [
        node.lineno
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.ExceptHandler)
        and _is_broad(node)
        and not _hides_nothing(node)
        and not any(words.get(node.lineno + offset) for offset in (-1, 0, 1))
    ]
    assert not silent, f"lines {silent}"


def _is_broad(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(
        kind is None or ast.unparse(kind) in {"Exception", "BaseException"} for kind in caught
    )


def _hides_nothing(handler: ast.ExceptHandler) -> bool:
    logged = any(
        isinstance(node, ast.Call) and ast.unparse(node.func) == "logger.exception"
        for node in ast.walk(handler)
    )
    return logged or isinstance(handler.body[-1], ast.Raise)


def _words_of_comments(path: Path) -> dict[int, str]:
    """Line → what a comment there says, without directives to tools."""
    text = path.read_text(encoding="utf-8")
    return {
        token.start[0]: re.sub(r"noqa: [A-Z0-9, ]+|type: ignore\S*|#", "", token.string).strip()
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
