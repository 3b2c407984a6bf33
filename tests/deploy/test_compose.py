"""Compose: what .env says reaches the node, and what it leaves out takes nothing from the image."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
COMPOSE = ROOT / "deploy" / "compose"
NOT_THE_NODES = {"BYOI_JOIN_TOKEN_FILE", "BYOI_AGENT_TARGET", "BYOI_AGENT_IMAGE"}


def test_each_choice_of_the_example_is_handed_over():
    of_agent = (COMPOSE / ".env.example").read_text().split("# --- the console")[0]
    choices = set(re.findall(r"^(BYOI_\w+)=", of_agent, re.MULTILINE)) - NOT_THE_NODES
    handed = yaml.safe_load((COMPOSE / "agent.yaml").read_text())["services"]["agent"]
    assert "BYOI_ENGINE" in choices
    assert choices == handed["environment"].keys()
    for name in choices:
        assert handed["environment"][name].startswith(f"${{{name}:")


@pytest.mark.parametrize(
    ("engine", "vllm_python", "has"),
    [
        ("", "/usr/bin/python3", "vllm"),
        ("http://engine:8000", "/usr/bin/python3", "http://engine:8000"),
        ("", "", ""),
        ("http://engine:8000", "", "http://engine:8000"),
    ],
)
def test_an_empty_engine_leaves_the_image_its_own(tmp_path, engine, vllm_python, has):
    (tmp_path / "identity.json").touch()
    byoi = tmp_path / "byoi"
    byoi.write_text('#!/bin/sh\nprintf "%s" "$BYOI_ENGINE"\n')
    byoi.chmod(0o700)
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "BYOI_DATA_DIR": str(tmp_path),
        "BYOI_ENGINE": engine,
        "BYOI_VLLM_PYTHON": vllm_python,
    }
    said = subprocess.run(
        ["sh", ROOT / "installers/docker/byoi-container", "run"],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == has
