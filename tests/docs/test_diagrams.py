"""The machines in docs/architecture.md are those of the code."""

from __future__ import annotations

import pytest

TOY = """
State = Off | On
Event = Pressed | Broke
Command = Light | Dark

def step(state, event, now, limits):
    match state, event:
        case Off(), Pressed(strength=3) if now > 1:
            return On(now), [Light()]
        case Off(), Pressed():
            return _try(state)
        case On(), _:
            return Off(), [Dark()]
        case _:
            return state, []

def _try(state):
    if state.tired:
        return state, []
    return On(0), [Light()]
"""


WORDS = """
State = Off | On
Event = Pressed | Broke
Command = Light | Dark
"""

BY_STATE = """
if TYPE_CHECKING:
    from some.room.words import State

def step(state, event, now, limits):
    match state:
        case Off():
            return _off(state, event, now)
        case On():
            return _on(state, event)
        case _:
            assert_never(state)

def _off(state, event, now):
    match event:
        case Pressed(strength=3) if now > state.until:
            return On(now), [Light()]
        case Pressed():
            return _try(state)
        case _:
            return state, []

def _on(state, event):
    match event:
        case _:
            return Off(), [Dark()]

def _try(state):
    if state.tired:
        return state, []
    return On(0), [Light()]
"""


@pytest.fixture
def toy(generate, tmp_path):
    file = tmp_path / "machine.py"
    file.write_text(TOY)
    return generate.diagrams.read(file)


def test_architecture_page_shows_the_machines_as_they_are(generate, docs):
    text = (docs / "architecture.md").read_text()
    assert generate.filled("architecture.md", text) == text, "run: python docs/generate.py"


def test_helpers_are_followed_to_the_states_that_they_return(generate, toy):
    assert generate.diagrams.mermaid(toy).splitlines() == [
        "stateDiagram-v2",
        "    [*] --> Off",
        "    Off --> On: Pressed",
        "    On --> Off: Pressed, Broke",
    ]


def test_table_names_conditions_and_orders(generate, toy):
    assert generate.diagrams.table(toy).splitlines()[2:] == [
        "| Off | Pressed, if `strength is 3` if `now > 1` | On | Light |",
        "| Off | Pressed | itself or On | Light |",
        "| On | Pressed | Off | Dark |",
        "| On | Broke | Off | Dark |",
    ]


def test_a_machine_with_a_function_for_each_state_is_drawn_alike(generate, toy, tmp_path):
    (tmp_path / "words.py").write_text(WORDS)
    file = tmp_path / "by_state.py"
    file.write_text(BY_STATE)
    drawn = generate.diagrams.read(file)
    assert generate.diagrams.mermaid(drawn) == generate.diagrams.mermaid(toy)
    table = generate.diagrams.table(drawn)
    assert table == generate.diagrams.table(toy).replace("now > 1", "now > until")


@pytest.mark.parametrize("name", ["link", "engine"])
def test_every_state_and_event_of_a_machine_is_drawn(generate, name):
    machine = generate.diagrams.read(generate.MACHINES[name])
    drawn = {state for each in machine.transitions for state in (each.source, *each.targets)}
    assert drawn == set(machine.states)
    assert {each.event for each in machine.transitions} == set(machine.events)
    assert {order for each in machine.transitions for order in each.commands} == set(
        machine.commands
    )


def test_a_machine_written_otherwise_is_not_guessed_at(generate, tmp_path):
    file = tmp_path / "machine.py"
    file.write_text(TOY.replace("return Off(), [Dark()]", "return whatever, []"))
    with pytest.raises(generate.diagrams.Unreadable, match="whatever"):
        generate.diagrams.read(file)
