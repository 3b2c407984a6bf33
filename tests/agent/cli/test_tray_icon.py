from __future__ import annotations

import importlib.util
import sys

import pytest

from byoi_agent.cli.tray_face import face_of
from byoi_agent.cli.tray_icon import NoDesktop, TrayIcon
from byoi_agent.errors import ConfigError

GONE = face_of(None, 0.0)


@pytest.fixture(autouse=True)
def not_imported(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "pystray"]:
        monkeypatch.delitem(sys.modules, name)


def test_without_a_desktop_it_is_said(monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("PYSTRAY_BACKEND", "xorg")
    with pytest.raises(NoDesktop, match="no desktop here"):
        TrayIcon("byoi", GONE, print)


@pytest.mark.parametrize("missing", ["pystray", "PIL"])
def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch, missing):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else find(name)
    )
    with pytest.raises(ConfigError, match=r"pip install 'byoi-agent\[tray\]'"):
        TrayIcon("byoi", GONE, print)


@pytest.fixture
def icon(monkeypatch):
    """On pystray's stand-in for a desktop, which keeps what it is given."""
    monkeypatch.setenv("PYSTRAY_BACKEND", "dummy")
    chosen = []
    return TrayIcon("byoi", GONE, chosen.append), chosen


def test_each_look_has_a_form_of_its_own(icon):
    shown, _ = icon
    looks = ("serving", "paused", "away", "trouble", "gone")
    pictures = {shown._picture(look).convert("L").tobytes() for look in looks}
    assert len(pictures) == len(looks)


def test_an_entry_of_the_menu_gives_its_order(icon):
    shown, chosen = icon
    items = shown._items()
    assert items[0].text.startswith("No node answers")
    assert not items[0].enabled
    items[-1](None)
    assert chosen == [GONE.menu[-1].action]
