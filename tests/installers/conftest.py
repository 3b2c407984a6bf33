"""Machines to install on. What is made for all tests lies in ~/.cache/byoi-tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent.parent / "installers"))  # programs, no package: by bare names
INSTALLER_SECONDS = 900
"""The first use makes the untouched Debian, over the network."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"debian", "machines"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.installer)
            item.add_marker(pytest.mark.timeout(INSTALLER_SECONDS))


def _load(name: str) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def machines():
    """Make machines: `machines(suite="bookworm", boot=True)`; all are gone after the test."""
    module = _load("machine")
    made = []

    def make(suite: str = "bookworm", *, boot: bool = True):
        try:
            made.append(module.Machine(module.base(suite), boot=boot).start())
        except module.MissingError as missing:
            pytest.skip(str(missing))
        return made[-1]

    yield make
    for machine in made:
        machine.close()


@pytest.fixture
def debian(machines):
    """A fresh Debian 12 that has booted."""
    return machines()


@pytest.fixture(scope="session")
def released():
    """What builds a release and serves it; see released.py."""
    return _load("released")
