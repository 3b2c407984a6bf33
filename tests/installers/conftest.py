"""Machines to install on. What is made for all tests lies in ~/.cache/byoi-tests."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent.parent / "installers"))  # programs, no package: by bare names
INSTALLER_SECONDS = 1800
"""The first use makes the untouched Debian, over the network, and the neighbour waits for it."""

HEARD_SECONDS = 600
"""An engine and a model may be fetched first."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:  # of all folders: others have fixtures of these names too
        asked = set(getattr(item, "fixturenames", ()))
        if HERE in item.path.parents and {"debian", "installed", "machines"} & asked:
            item.add_marker(pytest.mark.installer)
        if HERE in item.path.parents and item.get_closest_marker("installer"):
            item.add_marker(pytest.mark.timeout(INSTALLER_SECONDS))


def _load(name: str) -> ModuleType:
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture
def newcomer(tmp_path):
    """A bare machine of stand-ins on which install.sh runs; see newcomer.py."""
    return _load("newcomer").Newcomer(tmp_path)


@pytest.fixture
def machines():
    """Make machines: `machines(suite="bookworm", boot=True)`; all are gone after the test.

    `more` are packages that they have from the start.
    """
    module = _load("machine")
    with contextlib.ExitStack() as made:

        def make(suite: str = "bookworm", *, boot: bool = True, more: tuple[str, ...] = ()):
            try:
                base = module.base(suite, (*module.PACKAGES, *more))
                return made.enter_context(module.Machine(base, boot=boot))
            except module.MissingError as missing:
                pytest.skip(str(missing))

        yield make


@pytest.fixture(scope="session")
def installed():
    """Machines on which the package of an older version was just installed; see debs.py."""
    machinery, debs, released = _load("machine"), _load("debs"), _load("released")
    with debs.scratch() as folder:
        try:
            machinery.base()
        except machinery.MissingError as missing:
            pytest.skip(str(missing))
        if shutil.which("dpkg-deb") is None:
            pytest.skip("needs dpkg-deb: apt install dpkg")
        made = {
            version: debs.renumbered(released.package(), version, Path(folder, version))
            for version in (debs.OLD, debs.NEW)
        }
        yield debs.Installed(Path(folder), machinery, made)


@pytest.fixture
def debian(machines):
    """A fresh Debian 12 that has booted."""
    return machines()


@pytest.fixture(scope="session")
def released():
    """What builds a release and serves it; see released.py."""
    return _load("released")


@pytest.fixture
def heard(deployment):
    """Wait until the console itself would send requests to so many nodes: `await heard(machine)`.

    What a node says of itself is true a moment before the console has heard it.
    """

    async def heard(machine, nodes: int = 1) -> None:
        async def are_serving() -> bool:
            known = await deployment.nodes()
            return (
                sum(each["state"] == "online" and bool(each["models"]) for each in known) >= nodes
            )

        try:
            await deployment.until(are_serving, HEARD_SECONDS)
        except TimeoutError:
            told = machine.journal("byoi-agent")[-6000:]
            pytest.fail(f"the console knows {await deployment.nodes()}\n{told}")

    return heard


@pytest.fixture(scope="session")
def images():
    """Builds the Dockerfile's targets: `images("agent")`."""
    machine, _ = _load("machine"), _load("dockerfile")
    image = _load("image")

    def base(name: str) -> Path:
        if name.startswith("debian:bookworm"):
            return machine.base("bookworm", ("base-files",))
        if name.startswith("vllm/vllm-openai:"):
            # A stand-in: a Python of the system's own, as in that image, and no vLLM.
            return machine.base("bookworm", ("python3",))
        raise image.UnknownError(f"FROM {name}: there is no registry here")

    build = image.Build(HERE.parent.parent, base)

    def make(target: str):
        try:
            return build.image(target)
        except machine.MissingError as missing:
            pytest.skip(str(missing))

    yield make
    build.close()


@pytest.fixture
def containers():
    """Start containers: `containers(image, environment, …)`; all are gone after the test."""
    module = _load("container")
    with contextlib.ExitStack() as made:

        def make(*arguments, **places):
            container = module.Container(*arguments, **places)
            made.callback(container.remove)
            return container

        yield make
