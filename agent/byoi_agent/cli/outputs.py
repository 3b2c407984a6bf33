"""What each command prints with `--json`, as types: for `byoi help json`, its page, and the tests.

Where a command asks several nodes of a demo, their answers stand in a list under one name.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter

from byoi_agent.availability.readings import MachineReading, SessionReading
from byoi_agent.bench.report import BenchReport
from byoi_agent.cli.update_view import UpdateTold
from byoi_agent.control.config_words import SettingChange
from byoi_agent.control.key_list import KeyList
from byoi_agent.control.pins import PinList
from byoi_agent.control.schedule import ScheduleStatus
from byoi_agent.control.schema import (
    AvailabilityStatus,
    DashboardLink,
    EngineStatus,
    KeyChange,
    ReloadReport,
    SignedOut,
    StatusReport,
    UsageTable,
)
from byoi_agent.demo.choices import Ready
from byoi_agent.doctor.finding import Finding
from byoi_agent.doctor.proof import Proof
from byoi_agent.engine.inventory import Offer
from byoi_agent.hardware.devices import DeviceReading
from byoi_agent.models.shelf import Row
from byoi_agent.planning.calibration import Accuracy
from byoi_agent.service.launcher import ServiceStatus


class _Whole(BaseModel):
    """Nothing is printed that is not described."""

    model_config = ConfigDict(extra="forbid")


class _Open(BaseModel):
    """More is printed than is described."""

    model_config = ConfigDict(extra="allow")


class SettingRow(_Whole):
    """A setting, its value (secrets hidden) and who set it."""

    name: str
    value: Any
    source: str


class ConfigShown(_Whole):
    """`byoi config show`."""

    file: str | None
    settings: list[SettingRow]


class ConfigPlace(_Whole):
    """`byoi config path`."""

    file: str
    exists: bool


class ProblemRow(_Whole):
    """A mistake, and the line of the file that it is in."""

    line: int | None
    text: str


class ConfigChecked(_Whole):
    """`byoi config check`; `file` is null where there is none."""

    file: str | None
    problems: list[ProblemRow]


class DoctorTold(_Whole):
    """`byoi doctor`; `bundle` is the archive's path where one was wanted."""

    checks: list[Finding] | None = None
    bundle: str | None = None


class EnginesListed(_Whole):
    """`byoi engines list`."""

    engines: list[Offer]


class EngineInstalled(_Whole):
    """`byoi engines install`."""

    engine: str
    version: str


class EnginesSettled(_Whole):
    """`byoi engines sleep` and `wake`: as they are then; none with --no-wait."""

    engines: list[EngineStatus]


class Removed(_Whole):
    """`byoi engines remove`: names with their versions."""

    removed: list[str]


class EngineChosen(_Whole):
    """`byoi engines use`; it `holds` unless a variable wins over the file."""

    engine: str
    file: str
    holds: bool


class CodeGiven(_Open):
    """`byoi enroll`: the code for a person, and where it is to be typed."""

    event: Literal["code"]
    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_in: float
    fingerprint: str


class EnrolTrouble(_Whole):
    """`byoi enroll`, while the console cannot be reached."""

    event: Literal["trouble"]
    reason: str


class EnrolledTold(_Whole):
    """`byoi enroll`, last line."""

    event: Literal["enrolled"]
    node_id: str
    name: str | None
    organisation: str | None
    visibility: str | None
    mode: str | None
    key_id: str
    fingerprint: str
    key_store: str
    console_url: str
    origin: str
    console_key_fingerprint: str


class Unenrolled(_Whole):
    """`byoi unenroll`; with --force the console still lists the node."""

    node_id: str
    origin: str
    is_given_back: bool


class Unfinished(_Whole):
    """What has come of a model whose pull was broken off."""

    model: str
    bytes: int


class ModelsListed(_Whole):
    """`byoi models list`."""

    models: list[Row]
    unfinished: list[Unfinished]


class ModelsRemoved(_Whole):
    """`byoi models rm`; `unfinished` counts what had come of broken pulls."""

    removed: list[str]
    unfinished: int


class ModelServed(_Whole):
    """`byoi models serve`."""

    model: str | None = None
    id: str | None = None
    engine: str | None = None
    served: bool | None = None
    file: str | None = None
    reloaded: bool | None = None


class PullStep(_Whole):
    """`byoi models pull`, while it goes on: a line about once a second."""

    phase: str
    done_bytes: int
    total_bytes: int | None
    bytes_per_second: int | None
    seconds_left: float | None


class ModelPulled(_Whole):
    """`byoi models pull`, last line; `removed` went to make room."""

    model: str
    id: str
    commit: str
    size_bytes: int
    path: str
    was_here: bool
    removed: list[str]


class ServiceChanged(_Whole):
    """`byoi service install` and the like: what was done, or with --dry-run would be."""

    steps: list[str]
    is_dry_run: bool
    hints: list[str]


class Source(_Whole):
    """Something that could tell of the owner's presence."""

    name: str
    answers: bool
    trouble: str | None


class SessionShown(_Whole):
    """`byoi session --once`."""

    sessions: list[SessionReading]
    machine: MachineReading
    sources: list[Source]


class Version(_Whole):
    """`byoi version`."""

    version: str
    protocol: str
    python: str


class Unreachable(_Whole):
    """`byoi status --watch`, while no node answers."""

    is_reachable: bool
    reason: str


class Answered(_Whole):
    """`byoi demo --once`."""

    prompt: str
    answer: str


class DemoReady(Ready):
    """`byoi demo`: the ready file, and what the first question was answered with."""

    prompt: str
    answer: str


class ModelsPlanned(_Whole):
    """`byoi plan models`; each model as `byoi plan serve` tells it, with where it was found."""

    models: list[dict[str, Any]]
    accuracy: Accuracy | None


class ServePlanned(_Open):
    """`byoi plan serve`: every input and result, of which these are what programs ask for first."""

    model: str
    engine: str
    quantisation: str
    parameters: int
    active_parameters: int
    weight_bytes: int
    kv_bytes_per_token: int
    memory_bytes: int
    room_bytes: int
    fits: bool
    context_tokens: int
    largest_context_tokens: int
    concurrency: int
    tensor_parallel: int
    pipeline_parallel: int
    engine_arguments: list[str]
    settings: dict[str, str | float]
    reasons: list[str]


class TrainPlanned(_Open):
    """`byoi plan train`: every input and result, of which these are the first."""

    gpus: float
    gpus_to_buy: int
    days: float
    params: float
    tokens: float
    tflops: float
    factor: float
    flop: float


class LogLine(_Open):
    """`byoi logs`: a line as it was written, with the fields of its event beside these."""

    time: str
    level: str
    logger: str
    event: str


OUTPUTS: Final[dict[str, Any]] = {
    "bench": BenchReport,
    "config show": ConfigShown,
    "config path": ConfigPlace,
    "config check": ConfigChecked,
    "config set": SettingChange,
    "config unset": SettingChange,
    "dashboard": DashboardLink | SignedOut,
    "demo": DemoReady | Answered,
    "devices": list[DeviceReading],
    "doctor": DoctorTold,
    "engines list": EnginesListed,
    "engines install": EngineInstalled,
    "engines remove": Removed,
    "engines sleep": EnginesSettled,
    "engines use": EngineChosen,
    "engines wake": EnginesSettled,
    "enroll": CodeGiven | EnrolTrouble | EnrolledTold,
    "keys": KeyList,
    "keys rotate": KeyChange,
    "keys seal": KeyChange,
    "keys unseal": KeyChange,
    "logs": LogLine,
    "mode": AvailabilityStatus,
    "models list": ModelsListed,
    "models pull": PullStep | ModelPulled,
    "models rm": ModelsRemoved,
    "models serve": ModelServed,
    "pause": AvailabilityStatus,
    "pins": PinList,
    "pins consent": PinList,
    "pins refuse": PinList,
    "pins withdraw": PinList,
    "plan models": ModelsPlanned,
    "plan serve": ServePlanned,
    "plan train": TrainPlanned,
    "prove": Proof,
    "reload": ReloadReport,
    "resume": AvailabilityStatus,
    "schedule": ScheduleStatus,
    "schedule add": ScheduleStatus,
    "schedule remove": ScheduleStatus,
    "service install": ServiceChanged,
    "service restart": ServiceChanged,
    "service start": ServiceChanged,
    "service status": ServiceStatus,
    "service stop": ServiceChanged,
    "service uninstall": ServiceChanged,
    "session": SessionShown,
    "status": StatusReport | Unreachable,
    "unenroll": Unenrolled,
    "update": UpdateTold,
    "usage": UsageTable,
    "version": Version,
}
"""By the words of the command. One that prints several lines prints one of these in each."""


def schema_of(words: str) -> dict[str, Any]:
    """The JSON Schema of a command's output; raises KeyError where it has none."""
    return TypeAdapter(OUTPUTS[words]).json_schema(mode="serialization")
