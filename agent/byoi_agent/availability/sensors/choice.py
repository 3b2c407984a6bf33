"""Which sensors a process on this system has: all that could answer there, best first."""

from __future__ import annotations

import getpass
import os
import sys
from typing import TYPE_CHECKING

from byoi_agent.availability.sensors.programs import ProgramsSensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    from byoi_agent.availability.readings import MachineReading, SessionReading
    from byoi_agent.availability.sensors.face import Sensor

    SessionSensor = Sensor[tuple[SessionReading, ...]]
    MachineSensor = Sensor[MachineReading]


def session_sensors(
    environment: Mapping[str, str], *, is_helper: bool = False
) -> list[SessionSensor]:
    """For the sessions that can be seen from here; `environment` tells which session this is.

    A helper speaks of its own session alone; the service asks the login manager itself.
    """
    user = this_user()
    if sys.platform == "win32":
        return _windows_session(user)
    if sys.platform == "darwin":
        return _mac_session(user)
    return _linux_sessions(environment, user, is_helper=is_helper)


def machine_sensors(environment: Mapping[str, str]) -> list[MachineSensor]:
    """For what holds for the whole machine, without the owner's list of programs."""
    if sys.platform == "win32":
        return _windows_machine()
    if sys.platform == "darwin":
        return _mac_machine()
    return _linux_machine(environment)


def programs_sensor() -> ProgramsSensor:
    """For the owner's list of programs."""
    return ProgramsSensor()


def this_user() -> str:
    """Who this process is, by the name that logs in."""
    if sys.platform != "win32":
        import pwd  # noqa: PLC0415 not on Windows

        try:
            return pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            return f"uid {os.getuid()}"
    return getpass.getuser()


# Each system's are imported where they are chosen: the others' libraries are not installed there.


def _linux_sessions(
    environment: Mapping[str, str], user: str, *, is_helper: bool
) -> list[SessionSensor]:
    from byoi_agent.availability.sensors.bus import session_bus, system_bus  # noqa: PLC0415
    from byoi_agent.availability.sensors.logind import LogindSensor  # noqa: PLC0415
    from byoi_agent.availability.sensors.mutter import MutterSensor  # noqa: PLC0415
    from byoi_agent.availability.sensors.screensaver import ScreenSaverSensor  # noqa: PLC0415
    from byoi_agent.availability.sensors.wayland import WaylandSensor, compositor  # noqa: PLC0415
    from byoi_agent.availability.sensors.x11 import X11Sensor  # noqa: PLC0415

    found: list[SessionSensor] = []
    if not is_helper:
        found.append(LogindSensor(system_bus(environment)))
    if bus := session_bus(environment):
        found += [MutterSensor(bus, user), ScreenSaverSensor(bus, user)]
    if socket := compositor(environment):
        found.append(WaylandSensor(socket, user))
    if display := environment.get("DISPLAY"):
        is_wayland = bool(environment.get("WAYLAND_DISPLAY"))
        found.append(X11Sensor(display, user, is_wayland=is_wayland))
    return found


def _linux_machine(environment: Mapping[str, str]) -> list[MachineSensor]:
    from byoi_agent.availability.sensors.bus import system_bus  # noqa: PLC0415
    from byoi_agent.availability.sensors.network_manager import (  # noqa: PLC0415
        NetworkManagerSensor,
    )
    from byoi_agent.availability.sensors.power_supply import PowerSupplySensor  # noqa: PLC0415
    from byoi_agent.availability.sensors.upower import UPowerSensor  # noqa: PLC0415

    bus = system_bus(environment)
    return [UPowerSensor(bus), PowerSupplySensor(), NetworkManagerSensor(bus)]


if sys.platform == "win32":

    def _windows_session(user: str) -> list[SessionSensor]:
        from byoi_agent.availability.sensors.windows import WindowsSession  # noqa: PLC0415
        from byoi_agent.availability.sensors.windows_calls import SystemCalls  # noqa: PLC0415

        return [WindowsSession(SystemCalls(), user)]

    def _windows_machine() -> list[MachineSensor]:
        from byoi_agent.availability.sensors.windows import WindowsPower  # noqa: PLC0415
        from byoi_agent.availability.sensors.windows_calls import SystemCalls  # noqa: PLC0415

        return [WindowsPower(SystemCalls())]


def _mac_session(user: str) -> list[SessionSensor]:
    from byoi_agent.availability.sensors.macos import MacSession  # noqa: PLC0415

    return [MacSession(user)]


def _mac_machine() -> list[MachineSensor]:
    from byoi_agent.availability.sensors.macos import MacPower  # noqa: PLC0415

    return [MacPower()]
