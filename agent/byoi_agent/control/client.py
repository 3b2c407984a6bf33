"""Asks a running node; synchronous and without aiohttp, so that `byoi status` answers at once."""

from __future__ import annotations

import http.client
import json
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from pydantic import BaseModel, ValidationError

from byoi_agent.config.availability import Schedule
from byoi_agent.control.config_words import ConfigReport, ConfigSchema, SettingChange
from byoi_agent.control.key_list import KeyList
from byoi_agent.control.log_words import LogLine, LogLines
from byoi_agent.control.model_words import (
    ModelList,
    PullList,
    PullStatus,
    Removed,
    ServeReport,
)
from byoi_agent.control.pins import PinList
from byoi_agent.control.presence import SessionHeard
from byoi_agent.control.schedule import ScheduleStatus
from byoi_agent.control.schema import (
    AvailabilityStatus,
    DashboardLink,
    KeyChange,
    ReloadReport,
    SignedOut,
    StatusReport,
    UsageTable,
    VersionReport,
)
from byoi_agent.doctor.finding import Report
from byoi_agent.doctor.proof import Proof
from byoi_agent.errors import AgentError, ConfigError
from byoi_wire.messages import Advertise

if TYPE_CHECKING:
    from collections.abc import Iterator

    from byoi_agent.control.log_words import Level
    from byoi_agent.control.model_words import PullOrder, ServeOrder
    from byoi_agent.control.presence import SessionReport
    from byoi_agent.control.schema import MeasuredOrder, NodePlace
    from byoi_agent.usage.report import UsageFilter

CALL_SECONDS: Final = 10.0
SESSION_SECONDS: Final = 3.0
ROTATION_SECONDS: Final = 60.0
"""Two keyrings, a console and a new link may each take their time."""
SILENCE_SECONDS: Final = 60.0
"""A stream of events says at least every quarter of a minute that it is still there."""
PROOF_SECONDS: Final = 100.0
"""A driver that is slow, and then a token that is."""
DOCTOR_SECONDS: Final = 40.0
"""Each check has its own time; a console far away and a driver may take all of it."""
RELOAD_SECONDS: Final = 60.0
"""A driver, or a disk full of models, may take its time."""
_OWNERS_FAULT: Final = frozenset(
    {http.client.BAD_REQUEST, http.client.NOT_FOUND, http.client.CONFLICT}
)
_DATA: Final = b"data: "
_ANSWER_LIMIT_BYTES: Final = 16 * 1024 * 1024

_Model = TypeVar("_Model", bound=BaseModel)


class NodeUnreachable(AgentError):
    """No node answers there: it does not run, or it is not this user's."""

    exit_code = 69


@dataclass(frozen=True)
class ControlClient:
    """One node's control API: by its socket where there is one, else by URL and token."""

    socket_path: str | None = None
    url: str | None = None
    token: str | None = field(default=None, repr=False)

    @classmethod
    def at(cls, place: NodePlace) -> ControlClient:
        """The client for a node that left word of itself.

        By the socket: a port may belong to somebody else by now, who must not see the token.
        """
        if place.control_socket is not None:
            return cls(socket_path=place.control_socket)
        return cls(url=place.control_url, token=place.control_token)

    def status(self) -> StatusReport:
        """How the node is.

        Raises:
            NodeUnreachable: nobody answers.
            AgentError: it refused; the message says why.
        """
        return self._get("/api/status", StatusReport)

    def offer(self) -> Advertise:
        """What the node tells its console. Raises as `status`."""
        return self._get("/api/offer", Advertise)

    def usage(self, chosen: UsageFilter) -> UsageTable:
        """What the node has served. Raises as `status`."""
        all_of_it = chosen._field_defaults
        asked = {name: it for name, it in chosen._asdict().items() if it != all_of_it[name]}
        return self._get(f"/api/usage?{urlencode(asked)}", UsageTable)

    def sleep(self, within_seconds: float, model: str | None = None) -> None:
        """Have a model's engine, or all, give memory back; requests under way get so long.

        It is an order: `status` tells what comes of it. Raises as `status`.
        """
        self._post("/api/engine/sleep", {"within_seconds": within_seconds, "model": model})

    def wake(self, model: str | None = None) -> None:
        """Have a model's engine, or all, serve again. Raises as `status`."""
        self._post("/api/engine/wake", {"model": model})

    def pause(self, seconds: float | None, *, finish: bool = False) -> AvailabilityStatus:
        """Have the node stop serving for so long, or until resumed. Raises as `status`."""
        return self._order("/api/availability/pause", {"seconds": seconds, "finish": finish})

    def resume(self) -> AvailabilityStatus:
        """End a pause. Raises as `status`."""
        return self._order("/api/availability/resume", {})

    def hold_for_update(self, version: str | None, seconds: float = 600.0) -> AvailabilityStatus:
        """Have the node take nothing new until that version comes. Raises as `status`."""
        order = {"version": version, "seconds": seconds}
        return self._order("/api/availability/update", order)

    def choose_mode(self, mode: str | None) -> AvailabilityStatus:
        """Switch the mode; None takes the switch back. Raises as `status`."""
        return self._order("/api/availability/mode", {"mode": mode})

    def pins(self) -> PinList:
        """Who wants the node for itself. Raises as `status`."""
        return self._get("/api/pins", PinList)

    def answer_pin(self, pin_id: str, verb: str) -> PinList:
        """What the owner says to that: consent, refuse or withdraw. Raises as `status`."""
        target = f"/api/pins/{quote(pin_id, safe='')}/{verb}"
        return self._answer(self._exchange(target, "POST", b""), PinList)

    def schedule(self) -> ScheduleStatus:
        """The owner's schedule, and what it says now. Raises as `status`."""
        return self._get("/api/schedule", ScheduleStatus)

    def put_schedule(self, schedule: Schedule) -> ScheduleStatus:
        """Have another schedule hold, now and after a restart; raises as `status` too.

        Raises:
            ConfigError: the node cannot write its file, or what it says is wrong already.
        """
        order = schedule.model_dump(mode="json", include=set(Schedule.model_fields))
        came = self._exchange("/api/schedule", "PUT", json.dumps(order).encode())
        if came[0] == http.client.CONFLICT:
            raise ConfigError(str(_message(came[1])))
        return self._answer(came, ScheduleStatus)

    def tell_of_session(self, report: SessionReport) -> SessionHeard:
        """Tell how a person's session is, and hear whose it is taken for. Raises as `status`."""
        content = report.model_dump_json().encode()
        came = self._exchange("/api/session", "POST", content, SESSION_SECONDS)
        return self._answer(came, SessionHeard)

    def keep_measured(self, order: MeasuredOrder) -> None:
        """Have the node keep what a benchmark found, and advertise it. Raises as `status`."""
        self._post("/api/measured", order.model_dump(mode="json"))

    def reload(self) -> ReloadReport:
        """Have the settings read again; raises as `status` too.

        Raises:
            ConfigError: they are wrong; the old ones hold.
        """
        came = self._exchange("/api/reload", "POST", b"")
        if came[0] == http.client.CONFLICT:
            raise ConfigError(f"the node keeps its settings: {_message(came[1])}")
        return self._answer(came, ReloadReport)

    def open_dashboard(self) -> DashboardLink:
        """A link that opens the dashboard in a browser, once and soon. Raises as `status`."""
        return self._answer(self._exchange("/api/dashboard/open", "POST", b""), DashboardLink)

    def mend(self) -> Report:
        """The doctor's look after what loses nothing was mended. Raises as `status`."""
        answer = self._exchange("/api/doctor/fix", "POST", b"", 2 * DOCTOR_SECONDS)
        return self._answer(answer, Report)

    def sign_out_browsers(self) -> SignedOut:
        """End every browser's session. Raises as `status`."""
        return self._answer(self._exchange("/api/dashboard/sign-out", "POST", b""), SignedOut)

    def config(self) -> ConfigReport:
        """Each setting, who set it and what holds. Raises as `status`."""
        return self._get("/api/config", ConfigReport)

    def config_schema(self) -> ConfigSchema:
        """What settings there are. Raises as `status`."""
        return self._get("/api/config/schema", ConfigSchema)

    def put_setting(self, name: str, value: object) -> SettingChange:
        """Have a setting written into the node's file and read; None takes it out.

        Raises:
            ConfigError: there is no such setting, the value does not fit, or the file is not to be
                written; nothing is changed.
        """
        came = self._exchange(
            f"/api/config/{quote(name, safe='')}", "PUT", json.dumps({"value": value}).encode()
        )
        if came[0] in _OWNERS_FAULT:
            raise ConfigError(str(_message(came[1])))
        return self._answer(came, SettingChange)

    def models(self) -> ModelList:
        """Which models are here, served and loaded. Raises as `status`."""
        return self._get("/api/models", ModelList)

    def pull(self, order: PullOrder) -> PullStatus:
        """Have the node begin a pull; `pulls` tells how far it is. Raises as `status`."""
        content = order.model_dump_json().encode()
        return self._accepted(self._exchange("/api/models/pull", "POST", content), PullStatus)

    def pulls(self) -> PullList:
        """Pulls under way, and the last that ended. Raises as `status`."""
        return self._get("/api/models/pulls", PullList)

    def cancel_pull(self, pull_id: str) -> PullStatus:
        """End a pull; what came is kept. Raises as `status`."""
        target = f"/api/models/pulls/{quote(pull_id, safe='')}"
        return self._answer(self._exchange(target, "DELETE"), PullStatus)

    def remove_model(self, name: str) -> Removed:
        """Have a model taken from the disk; refused while it is served. Raises as `status`."""
        return self._answer(self._exchange(_model(name), "DELETE"), Removed)

    def load_model(self, name: str) -> None:
        """Have a model's engine serve again. Raises as `status`."""
        self._post(f"{_model(name)}/load", {})

    def unload_model(self, name: str, within_seconds: float) -> None:
        """Have a model's engine give its memory back. Raises as `status`."""
        self._post(f"{_model(name)}/unload", {"within_seconds": within_seconds})

    def serve_model(self, name: str, order: ServeOrder) -> ServeReport:
        """Have a model served from now on, and after a restart. Raises as `status`."""
        content = order.model_dump_json(exclude_none=True).encode()
        came = self._exchange(f"{_model(name)}/serve", "POST", content, RELOAD_SECONDS)
        return self._answer(came, ServeReport)

    def unserve_model(self, name: str) -> ServeReport:
        """Have a model served no more. Raises as `status`."""
        came = self._exchange(f"{_model(name)}/unserve", "POST", b"", RELOAD_SECONDS)
        return self._answer(came, ServeReport)

    def doctor(self) -> Report:
        """What the node's own account finds wrong on the machine. Raises as `status`."""
        return self._answer(self._exchange("/api/doctor", seconds=DOCTOR_SECONDS), Report)

    def prove(self) -> Proof:
        """Whether the node's own account sees the accelerators and answers. Raises as `status`."""
        return self._answer(self._exchange("/api/prove", "POST", b"", PROOF_SECONDS), Proof)

    def logs(self, lines: int = 200, level: Level = "info") -> LogLines:
        """The log's last lines. Raises as `status`."""
        return self._get(f"/api/logs?{urlencode({'lines': lines, 'level': level})}", LogLines)

    def follow_logs(self, lines: int = 200, level: Level = "info") -> Iterator[LogLine]:
        """The same, and those that follow, until the node ends the stream or goes away.

        Raises:
            NodeUnreachable: nobody answers.
            AgentError: it refused; the message says why.
        """
        query = urlencode({"lines": lines, "level": level, "follow": "true"})
        connection = self._connection(SILENCE_SECONDS)
        try:
            response = self._asked(connection, f"/api/logs?{query}", "GET", None)
            if response.status != http.client.OK:
                body = response.read(_ANSWER_LIMIT_BYTES)
                raise AgentError(f"the node refused: {_message(body) or response.status}")
            with suppress(OSError, http.client.HTTPException):  # it has gone
                for line in response:
                    if line.startswith(_DATA):
                        yield LogLine.model_validate_json(line.removeprefix(_DATA))
        finally:
            connection.close()

    def version(self) -> VersionReport:
        """Which version runs. Raises as `status`."""
        return self._get("/api/version", VersionReport)

    def keys(self) -> KeyList:
        """Which keys the node has had. Raises as `status`."""
        return self._get("/api/keys", KeyList)

    def rotate_key(self) -> KeyChange:
        """Have the node change its key, and wait until it serves with the new one.

        Raises:
            NodeUnreachable: nobody answers.
            AgentError: it could not; the message says why.
        """
        came = self._exchange("/api/keys/rotate", "POST", b"", ROTATION_SECONDS)
        return self._answer(came, KeyChange)

    def _order(self, target: str, order: object) -> AvailabilityStatus:
        came = self._exchange(target, "POST", json.dumps(order).encode())
        return self._answer(came, AvailabilityStatus)

    def _post(self, target: str, order: object) -> None:
        status, body = self._exchange(target, "POST", json.dumps(order).encode())
        if status != http.client.ACCEPTED:
            raise AgentError(f"the node refused: {_message(body) or status}")

    def _accepted(self, came: tuple[int, bytes], answer: type[_Model]) -> _Model:
        status, body = came
        is_accepted = status == http.client.ACCEPTED
        return self._answer((http.client.OK if is_accepted else status, body), answer)

    def _get(self, target: str, answer: type[_Model]) -> _Model:
        return self._answer(self._exchange(target), answer)

    def _answer(self, came: tuple[int, bytes], answer: type[_Model]) -> _Model:
        status, body = came
        if status == http.client.UNAUTHORIZED and self.token is not None:
            raise AgentError(
                f"{self._where} does not take this control token: it is another node's, or of an "
                "earlier start; BYOI_CONTROL_TOKEN needs the one that runs there now"
            )
        if status != http.client.OK:
            raise AgentError(f"the node refused: {_message(body) or status}")
        try:
            return answer.model_validate_json(body)
        except ValidationError as error:
            raise AgentError(f"{self._where} does not answer like a byoi node") from error

    def _exchange(
        self,
        target: str,
        method: str = "GET",
        content: bytes | None = None,
        seconds: float = CALL_SECONDS,
    ) -> tuple[int, bytes]:
        connection = self._connection(seconds)
        try:
            response = self._asked(connection, target, method, content)
            return response.status, response.read(_ANSWER_LIMIT_BYTES)
        except (OSError, http.client.HTTPException) as error:
            raise NodeUnreachable(f"no node answers at {self._where}") from error
        finally:
            connection.close()

    def _asked(
        self,
        connection: http.client.HTTPConnection,
        target: str,
        method: str,
        content: bytes | None,
    ) -> http.client.HTTPResponse:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            connection.request(method, target, content, headers)
            return connection.getresponse()
        except PermissionError as error:
            raise NodeUnreachable(f"you may not use {self._where}; ask as its owner") from error
        except (OSError, http.client.HTTPException) as error:
            raise NodeUnreachable(f"no node answers at {self._where}") from error
        except ValueError as error:  # of a header that cannot be sent
            raise ConfigError(
                "the control token is none: copy it whole, without its quotes"
            ) from error

    def _connection(self, seconds: float) -> http.client.HTTPConnection:
        if self.socket_path is not None:
            return _UnixConnection(self.socket_path, seconds)
        host, port = _loopback(self.url or "")
        return http.client.HTTPConnection(host, port, timeout=seconds)

    @property
    def _where(self) -> str:
        return self.socket_path or self.url or "nowhere"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path
        self._seconds = seconds

    def connect(self) -> None:
        if sys.platform == "win32":
            raise OSError("Windows' Python has no unix sockets")
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._seconds)
        self.sock.connect(self._path)


def _loopback(url: str) -> tuple[str, int | None]:
    """Host and port of a URL on this machine: the token goes nowhere else."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "http" and parts.hostname in {"127.0.0.1", "localhost", "::1"}:
            return parts.hostname, parts.port
    except ValueError:
        pass  # no URL at all: the same mend
    raise ConfigError("the control URL looks like http://127.0.0.1:PORT")


def _model(name: str) -> str:
    return f"/api/models/{quote(name, safe='')}"


def _message(body: bytes) -> str | None:
    try:
        return str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return None
