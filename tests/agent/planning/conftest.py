"""Published models by their whole config.json, and cards to plan for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from byoi_agent.planning.facts import from_config
from byoi_agent.planning.machines import GIB, PlanDevice

MODELS = Path(__file__).parent / "models"


@pytest.fixture
def config():
    def config(name, **more):
        return {**json.loads((MODELS / f"{name}.json").read_text())["config"], **more}

    return config


@pytest.fixture
def facts(config):
    def facts(name, quantisation=None):
        return from_config(name, config(name), quantisation)

    return facts


@pytest.fixture
def cards():
    def cards(name, gib, count=1, **more):
        return [PlanDevice(index, "nvidia", name, gib * GIB, **more) for index in range(count)]

    return cards


@pytest.fixture
def processor():
    return PlanDevice(0, "cpu", "a processor", 24 * GIB)
