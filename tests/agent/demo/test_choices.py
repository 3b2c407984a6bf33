from __future__ import annotations

import pytest

from byoi_agent.demo.choices import Choices, ConsolePlace, DemoNode, Ready


@pytest.mark.parametrize(
    ("engine", "ours"), [("llamacpp", True), ("http://127.0.0.1:11434/v1", False)]
)
def test_an_engine_by_its_url_is_somebody_elses(engine, ours):
    assert Choices(engine=engine).is_engine_ours is ours


def test_the_ready_file_has_the_promised_names():
    ready = Ready(
        base_url="http://127.0.0.1:8700/v1",
        api_key="sk-byoi-x",
        model="m",
        console=ConsolePlace(
            url="u", pid=1, admin_email="e", admin_password="p", admin_api_key="k"
        ),
        nodes=(DemoNode(node_id="n", pid=2, control_url="c", control_token="t"),),
    )
    told = ready.model_dump(mode="json")
    assert set(told) == {"base_url", "api_key", "model", "console", "nodes"}
    assert set(told["console"]) == {"url", "pid", "admin_email", "admin_password", "admin_api_key"}
    assert set(told["nodes"][0]) == {"node_id", "pid", "control_url", "control_token", "engine"}
