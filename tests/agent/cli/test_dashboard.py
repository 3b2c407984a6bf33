from __future__ import annotations

import json

import pytest

from byoi_agent.cli import dashboard as command
from byoi_agent.cli import status as module
from byoi_agent.control.client import ControlClient, NodeUnreachable
from byoi_agent.control.instances import Instance, Instances
from byoi_agent.control.schema import DashboardLink, SignedOut

LINK = DashboardLink(url="http://127.0.0.1:4711/open?code=abc", valid_seconds=60)


@pytest.fixture
def answering(monkeypatch):
    """Running nodes that answer so when they are asked for a link; what was opened."""
    opened = []

    def answer(*found, has_desktop=False):
        answers = iter(found)

        def open_dashboard(_):
            if isinstance(link := next(answers), Exception):
                raise link
            return link

        nodes = tuple(Instance(ControlClient(socket_path="/x")) for _ in found)
        monkeypatch.setattr(module, "find", lambda *_, **__: Instances(nodes, "data_dir"))
        monkeypatch.setattr(ControlClient, "open_dashboard", open_dashboard)

        def browser_for(_environment, *, is_wanted):
            return lambda url: is_wanted and has_desktop and not opened.append(url)

        monkeypatch.setattr(command, "browser_for", browser_for)
        return opened

    return answer


def test_a_browser_is_opened_and_the_link_which_works_once_is_not_shown(byoi, answering):
    opened = answering(LINK, has_desktop=True)
    code, out, _ = byoi("dashboard")
    assert (code, opened) == (0, [LINK.url])
    assert "code=" not in out
    assert "byoi dashboard --no-browser" in out


def test_where_there_is_none_the_link_is_shown_with_the_way_from_elsewhere(byoi, answering):
    opened = answering(LINK)
    code, out, _ = byoi("dashboard")
    assert (code, opened) == (0, [])
    assert LINK.url in out
    assert "within 60 s" in out
    assert "ssh -L 4711:127.0.0.1:4711" in out


def test_the_owner_may_want_the_link_alone(byoi, answering):
    opened = answering(LINK, has_desktop=True)
    assert LINK.url in byoi("dashboard", "--no-browser")[1]
    assert opened == []


def test_for_programs_nothing_is_opened(byoi, answering):
    opened = answering(LINK, has_desktop=True)
    told = json.loads(byoi("dashboard", "--json")[1])
    assert told == {"url": LINK.url, "valid_seconds": 60.0}
    assert opened == []


def test_several_nodes_each_have_one(byoi, answering):
    answering(LINK, LINK)
    assert len(json.loads(byoi("dashboard", "--json")[1])["dashboards"]) == 2


def test_a_node_that_is_away_is_told(byoi, answering):
    answering(NodeUnreachable("no node answers at /x"))
    code, out, err = byoi("dashboard")
    assert (code, out) == (69, "")
    assert "no node answers" in err


@pytest.mark.parametrize(
    ("counts", "told"), [((0,), "No browser"), ((1,), "One browser"), ((2, 1), "3 browsers")]
)
def test_all_browsers_are_signed_out(byoi, answering, monkeypatch, counts, told):
    opened = answering(*(LINK for _ in counts), has_desktop=True)
    answers = iter([*counts, *counts])
    monkeypatch.setattr(
        ControlClient, "sign_out_browsers", lambda _: SignedOut(browsers=next(answers))
    )
    code, out, _ = byoi("dashboard", "--sign-out")
    assert (code, opened) == (0, [])
    assert out.startswith(told)
    assert "byoi dashboard" in out
    shown = json.loads(byoi("dashboard", "--sign-out", "--json")[1])
    assert shown.get("dashboards", [shown]) == [{"browsers": count} for count in counts]
