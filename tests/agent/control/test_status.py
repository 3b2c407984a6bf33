from __future__ import annotations

from dataclasses import replace

from byoi_agent.control.status import devices_of, engine_of, engine_place, link_of, status_of
from byoi_agent.engine.view import EngineView, ServedModel
from byoi_agent.hardware.devices import DeviceReading
from byoi_agent.link.view import LinkView
from byoi_agent.node.advertise import queue_of
from byoi_agent.node.view import Load, NodeView
from byoi_agent.planning.calibration import Accuracy
from byoi_agent.telemetry.health import HealthWarning
from byoi_wire.ids import ModelId, NodeId

ENGINE = EngineView(
    "ready",
    "llamacpp",
    (ServedModel(ModelId("m"), "m", ()),),
    slots=4,
    pid=7,
    url="unix:///s",
    restarts=2,
)
VIEW = NodeView(
    node_id=NodeId("n"),
    agent_version="1",
    engine=ENGINE,
    link=LinkView("online", epoch=3),
    load=Load(2, 1),
    warnings=(HealthWarning("disk", "full", "make room"),),
)
BARE = NodeView(node_id=NodeId("n"), agent_version="1")


def report(view):
    return status_of(
        view,
        console_url="https://c",
        key_store="file",
        pid=9,
        uptime_seconds=1.5,
        unacknowledged_records=2,
    )


def test_a_status_says_all_that_the_owner_needs():
    told = report(VIEW)
    assert (told.is_serving, told.running, told.waiting) == (True, 2, 1)
    assert (told.slots, told.queue) == (4, queue_of(VIEW))
    assert told.link.console_url == "https://c"
    assert told.warnings[0].mend == "make room"
    assert told.unacknowledged_records == 2


def test_a_status_says_how_far_off_estimates_of_memory_were():
    told = report(replace(VIEW, estimates=Accuracy(10, 0.02, 0.011)))
    assert told.estimates.model_dump() == {"loads": 10, "error": 0.02, "corrected_error": 0.011}
    assert report(VIEW).estimates is None


def test_a_node_that_only_begins_has_a_status_too():
    told = report(BARE)
    assert (told.is_serving, told.engine, told.slots, told.link.state) == (
        False,
        None,
        0,
        "connecting",
    )


def test_an_engine_is_described_by_what_it_serves():
    told = engine_of(VIEW)
    assert (told.models, told.pid, told.url, told.restarts) == (("m",), 7, "unix:///s", 2)
    assert engine_of(BARE) is None


def test_a_ready_file_names_the_engine():
    assert engine_place(VIEW).model_dump() == {"kind": "llamacpp", "pid": 7, "url": "unix:///s"}
    assert engine_place(BARE) is None


def test_a_link_is_described_with_its_epoch():
    assert (link_of(VIEW, "https://c").state, link_of(VIEW, "https://c").epoch) == ("online", 3)


def test_a_device_is_described_without_its_serial():
    (device,) = devices_of([DeviceReading(index=0, kind="nvidia", name="H200", uuid="GPU-1")])
    assert device.name == "H200"
    assert "GPU-1" not in device.model_dump_json()
