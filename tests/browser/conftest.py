"""One console, one node and one Chromium for all tests of the pages."""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from types import ModuleType

HERE = Path(__file__).parent
EMAIL, PASSWORD = "ada@example.org", "a long enough password"


def load(name: str) -> ModuleType:
    """A module of this folder (tests are no package, so it is loaded by its file)."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def visiting() -> ModuleType:
    return load("visiting")


@pytest.fixture(scope="session")
def keyboard() -> ModuleType:
    """Ways to somewhere by Tab alone."""
    return load("test_keyboard")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(visiting):
    if visiting.program() is None:
        pytest.skip("needs chromium: apt install chromium")
    async with visiting.chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def axe(from_npm) -> str:
    """axe-core's source."""
    return (from_npm("axe-core") / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def pictures(pytestconfig) -> Path:
    """Where screenshots are kept, for people to look at."""
    return Path(pytestconfig.getoption("--screenshots") or HERE / ".artefacts").absolute()


async def make_keys(deployment: Any) -> None:
    """An administrator's and a client's, by the email and the password of the person."""
    person = {"Authorization": aiohttp.encode_basic_auth(EMAIL, PASSWORD)}
    body = {"name": "administration", "scope": "admin"}
    place = f"{deployment.url}/api/keys"
    async with deployment.http.post(place, json=body, headers=person) as response:
        deployment.admin_key = (await response.json())["key"]
    deployment.api_key = (await deployment.admin("POST", "/api/keys", {"name": "tests"}))["key"]


@dataclass
class Site:
    """A console that somebody has set up, and the browser state of that person."""

    deployment: Any
    chromium: Any
    visiting: Any
    storage: dict[str, Any]
    email: str = EMAIL
    password: str = PASSWORD

    @property
    def url(self) -> str:
        return self.deployment.url

    def visit(self, *, is_signed_in: bool = True, **options: Any) -> Any:
        """A fresh browser profile, signed in unless it shall not be."""
        if is_signed_in:
            options["storage_state"] = self.storage
        return self.visiting.visit(self.chromium, self.url, **options)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def fresh(helper, tmp_path_factory):
    """Start consoles that nobody has set up yet; each is gone at the end."""
    made = []

    async def start(port: int = 0) -> Any:
        folder = tmp_path_factory.mktemp("fresh")
        runtime = tempfile.TemporaryDirectory(prefix="byoi-", dir="/tmp")
        deployment = helper("deployment").Deployment(folder, Path(runtime.name))
        deployment.programs = helper("deployment").BIN
        made.append((deployment, runtime))
        deployment.console_port = port
        deployment.admin_key = "none yet"  # else one would be made behind the page's back
        await deployment.__aenter__()
        await deployment.start_console()
        return deployment

    yield start
    for deployment, runtime in made:
        await deployment.__aexit__()
        runtime.cleanup()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(fresh, chromium, visiting):
    """The console that all tests share: an administrator, and a node with a stand-in engine."""
    deployment = await fresh()
    setup_url = deployment.console.ready["setup_url"]
    async with visiting.visit(chromium, deployment.url) as first:
        await visiting.set_up(first, setup_url, email=EMAIL, password=PASSWORD)
        storage = await first.context.storage_state()
    await make_keys(deployment)
    engine = await deployment.start_fake_engine()
    deployment.engine = engine
    await deployment.start_node("workstation", "--engine", engine.ready["url"])
    assert (await deployment.chat("hello", model="stand-in")).is_complete
    return Site(deployment, chromium, visiting, storage)


@pytest.fixture(scope="session")
def terminal() -> Any:
    """Programs that believe a person sits before them."""
    return load("terminal").Terminal


@pytest.fixture
def enrolling(site, terminal) -> Any:
    """`byoi enroll` at a terminal, in a state folder of its own."""

    def start(name: str, *flags: str) -> Any:
        argv = ("--console", site.url, "--data-dir", site.deployment.folder / name, "--no-browser")
        program = site.deployment.programs / "byoi"
        return terminal(program, "enroll", *argv, *flags, env=site.deployment.env)

    return start
