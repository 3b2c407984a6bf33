"""Draws a state machine from its `match` cases, so that a diagram can never say what code does not.

A machine is a module with a function `step` whose body is one `match state, event`, or one
`match state` that gives each state to a function of its own with one `match event`. Its unions
State, Event and Command stand there or in a neighbour that it imports. Helpers that a case calls
are followed to what they return.
"""
# ruff: noqa: INP001 (the documentation is no package)

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class Unreadable(Exception):
    """A machine is not written as machines are here."""


@dataclass(frozen=True)
class Transition:
    """One state's answer to one event; `guard` and `detail` say when, where there is more to it."""

    source: str
    event: str
    condition: str
    targets: tuple[str, ...]
    commands: tuple[str, ...]


@dataclass
class Machine:
    """What is read off one `machine.py`."""

    states: tuple[str, ...]
    events: tuple[str, ...]
    commands: tuple[str, ...]
    transitions: list[Transition] = field(default_factory=list)


def read(path: Path) -> Machine:
    """The machine in a module.

    Raises:
        Unreadable: it is not written as machines are here.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    trees = [tree, *_neighbours(tree, path)]
    machine = Machine(*(_union(trees, name) for name in ("State", "Event", "Command")))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    _Reader(machine, functions).read()
    return machine


def mermaid(machine: Machine) -> str:
    """A state diagram; what stays in its state is left to the table."""
    edges: dict[tuple[str, str], list[str]] = {}
    for transition in machine.transitions:
        for target in transition.targets:
            if target != transition.source:
                events = edges.setdefault((transition.source, target), [])
                if transition.event not in events:
                    events.append(transition.event)
    lines = ["stateDiagram-v2", f"    [*] --> {machine.states[0]}"]
    lines += [f"    {a} --> {b}: {', '.join(events)}" for (a, b), events in edges.items()]
    return "\n".join(lines)


def table(machine: Machine) -> str:
    """Every pair that is news, one row for states that answer alike."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for each in machine.transitions:
        event = f"{each.event}, {each.condition}" if each.condition else each.event
        becomes = " or ".join("itself" if t == each.source else t for t in each.targets)
        alike.setdefault((event, becomes, ", ".join(each.commands)), []).append(each.source)
    rows = ["| state | event | becomes | orders |", "| --- | --- | --- | --- |"]
    for (event, becomes, orders), sources in alike.items():
        rows.append(f"| {', '.join(sources)} | {event} | {becomes} | {orders or 'none'} |")
    return "\n".join(rows)


def _neighbours(tree: ast.Module, path: Path) -> Iterator[ast.Module]:
    """The modules of the same folder that a module imports from, for types alone included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            neighbour = path.with_name(node.module.rpartition(".")[2] + ".py")
            if neighbour.exists():
                yield ast.parse(neighbour.read_text(encoding="utf-8"))


def _union(trees: list[ast.Module], name: str) -> tuple[str, ...]:
    for node in (node for tree in trees for node in tree.body):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            parts = [part for part in ast.walk(node.value) if isinstance(part, ast.Name)]
            return tuple(p.id for p in sorted(parts, key=lambda p: (p.lineno, p.col_offset)))
    raise Unreadable(f"there is no union {name}")


class _Reader:
    """Goes through the cases of `step` from top to bottom, as Python does."""

    def __init__(self, machine: Machine, functions: dict[str, ast.FunctionDef]) -> None:
        self._machine = machine
        self._functions = functions
        self._taken: set[tuple[str, str]] = set()

    def read(self) -> None:
        for states, events, case in self._cases(self._match_in("step")):
            for source, event in self._pairs(states, events, case):
                self._add(case, source, event)

    def _match_in(self, function: str) -> ast.Match:
        body = self._functions[function].body
        return next(node for node in body if isinstance(node, ast.Match))

    def _cases(
        self, match: ast.Match
    ) -> Iterator[tuple[tuple[str, ...], tuple[str, ...], ast.match_case]]:
        """Each case with the states and the events that it is about."""
        if isinstance(match.subject, ast.Tuple):
            for case in match.cases:
                yield *self._sides(case.pattern), case
            return
        for part in match.cases:
            if isinstance(part.body[0], ast.Return):  # the last one is never reached
                states = _names(part.pattern, self._machine.states)
                assert isinstance(part.body[0].value, ast.Call)  # the state's own function
                for case in self._match_in(ast.unparse(part.body[0].value.func)).cases:
                    yield states, _names(case.pattern, self._machine.events), case

    def _pairs(
        self, states: tuple[str, ...], events: tuple[str, ...], case: ast.match_case
    ) -> list[tuple[str, str]]:
        pairs = [
            (state, event)
            for state in states
            for event in events
            if (state, event) not in self._taken
        ]
        if case.guard is None and not _condition(case.pattern):
            self._taken.update(pairs)
        return pairs

    def _sides(self, pattern: ast.pattern) -> tuple[tuple[str, ...], tuple[str, ...]]:
        machine = self._machine
        if isinstance(pattern, ast.MatchSequence):
            left, right = pattern.patterns
            return _names(left, machine.states), _names(right, machine.events)
        return machine.states, machine.events

    def _add(self, case: ast.match_case, source: str, event: str) -> None:
        statements = ast.Module(list(case.body), [])
        targets = tuple(dict.fromkeys(self._targets(statements, source)))
        commands = tuple(dict.fromkeys(self._commands(statements)))
        if targets == (source,) and not commands and _returns_state_itself(case.body):
            return
        conditions = [_condition(case.pattern)]
        if case.guard is not None:
            asked = ast.unparse(case.guard).replace("state.", "")
            conditions.append(f"if `{asked}`")
        condition = " ".join(filter(None, conditions))
        self._machine.transitions.append(Transition(source, event, condition, targets, commands))

    def _targets(self, body: ast.AST, source: str) -> Iterator[str]:
        known = _assignments(body)
        returns = [node for node in ast.walk(body) if isinstance(node, ast.Return)]
        for node in sorted(returns, key=lambda node: node.lineno):
            assert node.value is not None  # a step always answers
            yield from self._first(node.value, source, known)

    def _first(self, value: ast.expr, source: str, known: dict[str, ast.expr]) -> Iterator[str]:
        """The states that the first half of a returned pair can be."""
        if isinstance(value, ast.Tuple):
            yield from self._states(value.elts[0], source, known)
        elif isinstance(value, ast.IfExp):
            yield from self._first(value.body, source, known)
            yield from self._first(value.orelse, source, known)
        elif isinstance(value, ast.Call):
            yield from self._targets(self._functions[ast.unparse(value.func)], source)
        else:
            raise Unreadable(f"cannot follow {ast.unparse(value)}")

    def _states(self, value: ast.expr, source: str, known: dict[str, ast.expr]) -> Iterator[str]:
        if isinstance(value, ast.Name) and value.id in known:
            yield from self._first(known[value.id], source, known)
        elif ast.unparse(value).startswith("replace(state,") or ast.unparse(value) == "state":
            yield source
        elif isinstance(value, ast.Call) and ast.unparse(value.func) in self._machine.states:
            yield ast.unparse(value.func)
        else:
            raise Unreadable(f"cannot tell the state in {ast.unparse(value)}")

    def _commands(self, body: ast.AST) -> Iterator[str]:
        """In the order in which they are written, those of helpers where they are called."""
        calls = [node for node in ast.walk(body) if isinstance(node, ast.Call)]
        for call in sorted(calls, key=lambda node: (node.lineno, node.col_offset)):
            name = ast.unparse(call.func)
            if name in self._machine.commands:
                yield name
            elif name in self._functions:
                yield from self._commands(self._functions[name])


def _assignments(body: ast.AST) -> dict[str, ast.expr]:
    """Names that hold a state: the first of a pair that a helper returned."""
    return {
        ast.unparse(node.targets[0].elts[0]): node.value
        for node in ast.walk(body)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple)
    }


def _names(pattern: ast.pattern, all_names: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(pattern, ast.MatchOr):
        return tuple(name for part in pattern.patterns for name in _names(part, all_names))
    if isinstance(pattern, ast.MatchClass):
        return (ast.unparse(pattern.cls),)
    if isinstance(pattern, ast.MatchAs) and pattern.pattern is None:
        return all_names
    raise Unreadable(f"cannot read the pattern {ast.unparse(pattern)}")


def _condition(pattern: ast.pattern) -> str:
    """What a pattern asks beyond the classes."""
    asked = [
        f"{name} is {ast.unparse(part)}"
        for each in ast.walk(pattern)
        if isinstance(each, ast.MatchClass)
        for name, part in _named_parts(each)
        if not isinstance(part, ast.MatchAs)
    ]
    return f"if `{' and '.join(asked)}`" if asked else ""


def _named_parts(pattern: ast.MatchClass) -> Iterable[tuple[str, ast.pattern]]:
    yield from zip(pattern.kwd_attrs, pattern.kwd_patterns, strict=True)
    yield from (("", part) for part in pattern.patterns)


def _returns_state_itself(body: list[ast.stmt]) -> bool:
    value = body[-1].value if isinstance(body[-1], ast.Return) else None
    return isinstance(value, ast.Tuple) and ast.unparse(value.elts[0]) == "state"
