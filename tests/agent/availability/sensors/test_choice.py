from __future__ import annotations

import os
import pwd
import sys

import pytest

from byoi_agent.availability.sensors import choice

only_on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux")


def names(environment, **how):
    return [sensor.name for sensor in choice.session_sensors(environment, **how)]


@only_on_linux
def test_a_system_service_asks_the_login_manager_alone():
    assert names({}) == ["logind"]


@only_on_linux
def test_inside_a_session_all_its_sources_are_asked():
    session = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/x", "DISPLAY": ":7"}
    assert names(session) == ["logind", "mutter", "screensaver", "xscreensaver"]
    assert names(session, is_helper=True) == ["mutter", "screensaver", "xscreensaver"]
    session |= {"WAYLAND_DISPLAY": "/x/wayland-0"}
    assert names(session, is_helper=True) == [
        "mutter", "screensaver", "wayland", "xscreensaver",
    ]  # fmt: skip


@only_on_linux
def test_the_machines_own_sources_on_linux():
    found = [sensor.name for sensor in choice.machine_sensors({})]
    assert found == ["upower", "power_supply", "networkmanager"]


def test_on_a_mac_its_own_are_chosen(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert names({}) == ["ioreg"]
    assert [sensor.name for sensor in choice.machine_sensors({})] == ["pmset"]


@only_on_linux
def test_this_user_is_named_as_at_the_login(monkeypatch):
    assert choice.this_user() == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(os, "getuid", lambda: 0x7FFF_FFF0)
    assert choice.this_user() == "uid 2147483632"


def test_the_list_of_programs_is_a_sensor_of_its_own():
    assert choice.programs_sensor().name == "programs"
