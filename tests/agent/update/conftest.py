"""An index made by what makes the real one, and stand-ins for installations and their node."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from byoi_agent.errors import AgentError
from byoi_agent.update.supervisor import Before

INSTALLERS = Path(__file__).parents[3] / "installers"
RELEASE = {
    "schema": 1,
    "protocol": {"min": 1, "max": 1},
    "state_schema": {"min": 1, "max": 2},
    "settings_schema": 1,
}


class LocalIndex:
    """A repository in a folder; `add` publishes a bundle and brings the ring to it."""

    def __init__(self, folder: Path, keys, now=None) -> None:
        from repository import Repository

        self.folder = folder
        self.repository = Repository(folder / "repo", keys, now)
        self.url = (folder / "repo").as_uri()

    @property
    def root(self) -> bytes:
        return (self.folder / "repo/metadata/1.root.json").read_bytes()

    def add(self, version, content=b"a bundle", rollout=1.0, ring="stable", **facts):
        bundle = self.folder / f"byoi-agent-{version}-linux-x86_64.tar.gz"
        bundle.write_bytes(content)
        self.repository.add({**RELEASE, "version": version, **facts}, [bundle])
        self.repository.promote(version, ring, rollout)

    def target(self, ending):
        (found,) = (self.folder / "repo/targets").rglob(f"*{ending}")
        return found


@pytest.fixture(scope="session")
def keys(tmp_path_factory):
    sys.path.insert(0, str(INSTALLERS))
    try:
        import signing

        yield signing.make_keys(tmp_path_factory.mktemp("keys") / "keys")
    finally:
        sys.path.remove(str(INSTALLERS))


@pytest.fixture
def local_index(tmp_path, keys):
    folder = tmp_path / "index"
    folder.mkdir()
    made = LocalIndex(folder, keys)
    made.repository.begin()
    return made


@pytest.fixture
def made_at(tmp_path, keys):
    def make(moment):
        folder = tmp_path / "earlier"
        folder.mkdir()
        made = LocalIndex(folder, keys, moment)
        made.repository.begin()
        return made

    return make


@dataclass
class StandInInstaller:
    """Versions are files; `current` names the one that runs."""

    folder: Path
    first: str = "1.0.0"
    broken: set = field(default_factory=set)

    def __post_init__(self):
        (self.folder / "versions").mkdir(parents=True, exist_ok=True)
        (self.folder / "versions" / self.first).touch()
        if not (self.folder / "current").exists():
            (self.folder / "current").write_text(self.first)

    @property
    def current(self):
        return (self.folder / "current").read_text()

    def present(self):
        return self.current

    def has(self, version):
        return (self.folder / "versions" / version).exists()

    def stage(self, change, file):
        if "stage" in self.broken:
            raise OSError(28, "No space left on device")
        (self.folder / "versions" / change.new).write_bytes(file.read_bytes())

    def keep(self, change):
        if "keep" in self.broken:
            raise AgentError("there is no way back")

    def point_at(self, version, away):
        if version in self.broken:
            raise OSError(5, "Input/output error")
        if self.current not in {version, away}:
            raise AgentError(f"{self.current} is there")
        self.put(version)

    def put(self, version):
        draft = self.folder / "draft"
        draft.write_text(version)
        draft.replace(self.folder / "current")

    def environment(self, version):
        return self.folder / "versions" / version

    def clear(self, keep):
        for found in (self.folder / "versions").iterdir():
            if found.name not in {*keep, self.current}:
                found.unlink()


@dataclass
class StandInNode:
    """`works` says which versions come up; what was asked of it is in `told`."""

    installer: StandInInstaller
    works: set
    before: Before = field(default_factory=lambda: Before(is_running=True, is_serving=True))
    told: list = field(default_factory=list)
    refuses: str | None = None
    settings_fail: bool = False

    def drain(self, version):
        self.told.append(f"drain for {version}")
        if self.refuses:
            raise AgentError(self.refuses)
        return self.before

    def end_drain(self):
        self.told.append("serve again")

    def stop(self):
        self.told.append("stop")

    def start(self):
        self.told.append(f"start {self.installer.current}")

    def prove(self, change):
        assert self.installer.current == change.new
        if change.new not in self.works:
            raise AgentError(f"{change.new} did not serve")

    def step_down(self, code, schema):
        self.told.append(f"step down by {code.name} to {schema}")

    def renew_service(self, away, to):
        self.told.append(f"service from {away.name} to {to.name}")
        if self.settings_fail:
            raise AgentError("no room")

    def fit_settings(self, code, schema):
        self.told.append(f"settings by {code.name} for {schema or 'itself'}")
        if self.settings_fail:
            raise AgentError("no room")


@pytest.fixture
def installer(tmp_path):
    return StandInInstaller(tmp_path / "app")


@pytest.fixture
def node(installer):
    return StandInNode(installer, {"1.0.0", "1.1.0"})
