"""What every test run shares: deployments of the whole product, and the list of what was left out.

A machine without nginx or a compiler runs what it can and says what it left out; with
`--leave-nothing-out`, as in continuous integration, a skipped test is a failure. A skip that starts
with "only on" names another operating system; one that starts with "needs root" is told alone where
nobody is root, as no package brings that.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import openai
import pytest
import pytest_asyncio

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

STAND_IN = "stand-in"
REAL = "smollm2-135m-instruct"
FIRST_DOWNLOAD_SECONDS = 900
INSTALL_SECONDS = 120
LONGEST_FIRST = [
    *(f"installers/test_{name}.py" for name in ("deb", "images", "windows", "update_deb")),
    *(f"installers/test_{name}.py" for name in ("unattended", "newcomer", "update", "service")),
    *(f"system/test_{name}.py" for name in ("clients_that_leave", "engine_cycles", "cut_links")),
    *(f"system/test_{name}.py" for name in ("calibration", "several_models", "models")),
    *(f"system/test_{name}.py" for name in ("node_deaths", "reclaim", "continuation")),
    *(f"chaos/test_{name}.py" for name in ("random_kills", "kills_at_every_sync", "crowds")),
]
"""Files whose slow tests take a minute: begun early, so that no process ends long after another."""
HERE = Path(__file__).parent
IS_ROOT = not hasattr(os, "geteuid") or os.geteuid() == 0

# How long an example takes on a busy machine proves nothing.
hypothesis.settings.register_profile(
    "any machine",
    parent=hypothesis.settings(),
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--leave-nothing-out",
        action="store_true",
        help="fail when a test is skipped for want of a tool",
    )
    parser.addoption(
        "--screenshots",
        metavar="DIR",
        help="where the browser's pictures go  [default: tests/browser/.artefacts]",
    )


class LeftOut:
    """Sole owner of the list of tests that were skipped for want of something."""

    def __init__(self) -> None:
        self.reasons: list[str] = []
        self.for_root: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        if reason.startswith("needs root") and not IS_ROOT:
            self.for_root.append(f"{report.nodeid}: {reason}")
        elif not reason.startswith("only on "):
            self.reasons.append(f"{report.nodeid}: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.reasons and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.reasons:
            terminalreporter.section("left out, which this run does not allow")
            terminalreporter.write("".join(f"{reason}\n" for reason in self.reasons))
        if self.for_root:
            terminalreporter.section("left out, as nobody is root here")
            terminalreporter.write("".join(f"{reason}\n" for reason in self.for_root))


def pytest_configure(config: pytest.Config) -> None:
    # Whoever runs this in the background may have had these ignored, and programs inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform != "win32":
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if config.getoption("--leave-nothing-out"):
        config.pluginmanager.register(LeftOut())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks the real engine may be the one for whom it is downloaded."""
    items.sort(key=_turn)
    for item in items:
        if "real" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.engine)
            item.add_marker(pytest.mark.timeout(FIRST_DOWNLOAD_SECONDS))


def _turn(item: pytest.Item) -> int:
    file = "/".join(item.path.parts[-2:])
    return LONGEST_FIRST.index(file) if file in LONGEST_FIRST else len(LONGEST_FIRST)


def load(name: str) -> ModuleType:
    """A module of tests/system (tests are no package, so it is loaded by its file)."""
    if name not in sys.modules:
        file = HERE / "system" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, file)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def hubs() -> ModuleType:
    """The stand-in for a hub of models, and makers of small models."""
    name = "fake_hub"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, HERE / "fakes" / "hub.py")
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest_asyncio.fixture
async def hub(hubs, monkeypatch):
    """A hub that listens; no variable of this machine's leads elsewhere."""
    for variable in ("HF_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    async with hubs.FakeHub() as running:
        yield running


@pytest.fixture(scope="session")
def nvml() -> ModuleType:
    """The stand-in for NVIDIA's library: how it is built, and machines that it can show."""
    file = HERE / "fakes" / "nvml" / "stand_in.py"
    spec = importlib.util.spec_from_file_location("nvml_stand_in", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def nvml_library(nvml, tmp_path_factory) -> Path:
    """The folder of the stand-in's library, compiled once."""
    return nvml.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def machine(nvml, tmp_path):
    """What the stand-in shows; nothing until the test says so."""
    return nvml.Machine(tmp_path / "nvml-machine")


@pytest.fixture(scope="session")
def helper() -> Any:
    """Modules of tests/system by name."""
    return load


@pytest.fixture
async def deployment(tmp_path):
    """A console and nodes as processes; the test starts what it needs, and may break it."""
    with tempfile.TemporaryDirectory(prefix="byoi-", dir="/tmp") as runtime:
        async with load("deployment").Deployment(tmp_path, Path(runtime)) as deployment:
            yield deployment


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared(tmp_path_factory):
    """A console and a node with the stand-in engine, for all tests that break nothing of it.

    Whoever awaits one of its methods runs on the session's loop; the engine is its `engine`.
    """
    folder = tmp_path_factory.mktemp("shared")
    with tempfile.TemporaryDirectory(prefix="byoi-", dir="/tmp") as runtime:
        async with load("deployment").Deployment(folder, Path(runtime)) as deployment:
            await deployment.start_console()
            deployment.engine = await deployment.start_fake_engine()
            await deployment.start_node("node", "--engine", deployment.engine.ready["url"])
            yield deployment


@pytest.fixture(scope="session")
def stand_in(shared) -> str:
    """The name of the stand-in's model on the shared console."""
    return STAND_IN


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def real(shared) -> str:
    """The name of the real engine's model on the shared console; the first use starts a node."""
    await shared.enrol("real")
    await shared.run_node("real", seconds=FIRST_DOWNLOAD_SECONDS)
    return REAL


@pytest.fixture(scope="session")
def client(shared):
    """OpenAI's own SDK, told where and who; nothing else."""
    with openai.OpenAI(base_url=f"{shared.url}/v1", api_key=shared.api_key) as client:
        yield client


@pytest.fixture(scope="session")
def from_npm() -> Callable[[str], Path]:
    """Where a package of tests/package.json lies; all are installed where it is missing."""
    return _installed


@pytest.fixture(scope="session")
def node(from_npm) -> str:
    """Node with OpenAI's SDK."""
    if (node := shutil.which("node")) is None:
        pytest.skip("needs node: apt install nodejs npm")
    from_npm("openai")
    return node


def _installed(package: str) -> Path:
    """Once for all who wait: several test runs may start at once."""
    folder = HERE / "node_modules" / package
    with (HERE / "package-lock.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = json.load(lock)["packages"][f"node_modules/{package}"]["version"]
        found = folder / "package.json"
        if not found.exists() or json.loads(found.read_text())["version"] != wanted:
            if (npm := shutil.which("npm")) is None:
                pytest.skip("needs npm: apt install nodejs npm")
            done = subprocess.run(
                [npm, "ci", "--no-audit", "--no-fund"],
                cwd=HERE,
                capture_output=True,
                text=True,
                timeout=INSTALL_SECONDS,
                check=False,
            )
            if done.returncode:
                said = done.stderr[-400:]
                pytest.skip(f"needs {package}: (cd tests && npm ci); it said: {said}")
    return folder


@pytest.fixture
def is_alive():
    return load("deployment").is_alive
