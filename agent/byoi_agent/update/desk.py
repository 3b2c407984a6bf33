"""What an owner, or a timer, can ask of updates: look, become another version, go back, go on."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from byoi_agent.config.lock import StateInUse, StateLock
from byoi_agent.errors import ConfigError
from byoi_agent.update import machine, told
from byoi_agent.update.index import Index, IndexTrouble, kind_of_file
from byoi_agent.update.installers import Debian
from byoi_agent.update.journal import Journal
from byoi_agent.update.machine import Idle, Remember
from byoi_agent.update.policy import Here, No, is_newer, judge
from byoi_agent.update.programs import UpdateFailed
from byoi_agent.update.supervisor import Updater

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tuf.ngclient.fetcher import FetcherInterface

    from byoi_agent.update.index import Ring
    from byoi_agent.update.installers import Installer
    from byoi_agent.update.policy import Offered
    from byoi_agent.update.supervisor import Node
    from byoi_agent.update.told import Entry

JOURNAL: Final = "journal.json"
LOCK: Final = "lock"


@dataclass(frozen=True)
class Present:
    """The version that asks: what it speaks, which state it writes, and how far back it can go.

    `settings_schema` is the newest form of the settings that it knows.
    """

    version: str
    node_id: str
    protocol: int
    state_schema: int
    oldest_state_schema: int
    settings_schema: int = 1


@dataclass(frozen=True)
class Terms:
    """From where: `source` is the index, None where there is none; `root` whom it is trusted by."""

    ring: Ring
    source: str | None
    root: bytes


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder against a second updater.

    Raises:
        UpdateFailed: one is at work.
    """
    try:
        with StateLock(folder / LOCK):
            yield
    except StateInUse as busy:
        raise UpdateFailed("another update is under way; see: byoi update --status") from busy


@dataclass
class Desk:
    """One call's work, while it holds the folder. `tell` hears each step in a sentence."""

    kind: str
    folder: Path
    present: Present
    terms: Terms
    installer: Installer
    node: Node
    fetcher: FetcherInterface
    wall: Callable[[], float]
    tell: Callable[[str], None]
    journal: Journal = field(init=False)
    _found: Index | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Read the journal. Raises ConfigError where it cannot be understood."""
        self.journal = Journal(self.folder / JOURNAL, self.wall)

    def resume(self) -> Entry | None:
        """Go on with what was broken off; what came of it, None where there was nothing."""
        if not self._updater.resume():
            return None
        self._tell(underway=None)
        return self.journal.history[-1]

    def look(self, version: str | None = None) -> tuple[Offered, No | None]:
        """What the index offers, and why it is not taken; tells everybody on the machine.

        Raises:
            IndexTrouble: the index cannot be used now.
            ConfigError: this installation knows of no index.
        """
        try:
            index = self._index()
            offered = index.offered(self.terms.ring) if version is None else index.named(version)
            no = judge(offered, self._here, is_named=version is not None)
        except ValueError as error:
            raise IndexTrouble(f"the index says what it may not: {error}") from error
        except IndexTrouble as trouble:
            self._tell(checked_at=self.wall(), trouble=str(trouble))
            raise
        self.journal.learn(offered.version, offered.state_schema.most, offered.settings_schema)
        if version is None:
            newer = no is None or no.is_newer
            self._tell(
                checked_at=self.wall(),
                trouble=None,
                ring=self.terms.ring,
                available=offered.version if newer else None,
                held=no.reason if no is not None and newer else None,
            )
        return offered, no

    def hold(self, why: str) -> None:
        """Tell everybody why what is available is not installed now."""
        self._tell(held=why)

    def become(self, version: str) -> Entry:
        """Go to a version that `look` has let through; what came of it."""
        self._have_way_back()
        return self._become(version)

    def back(self) -> Entry:
        """Go to the version before this one, which its owner wants back.

        Raises:
            UpdateFailed: there is none, or this one's state cannot be taken back so far.
        """
        present = self.present.version
        before = [
            entry.old
            for entry in self.journal.history
            if entry.outcome == machine.DONE and entry.new == present
        ]
        if not before or not self.installer.has(before[-1]):
            raise UpdateFailed(
                f"there is no version before {present} on this machine; name one of the index: "
                "byoi update --to VERSION"
            )
        schema = self.journal.schemas.get(before[-1])
        if schema is None or schema < self.present.oldest_state_schema:
            raise UpdateFailed(f"{before[-1]} is too old for the state that {present} keeps")
        entry = self._become(before[-1])
        if entry.outcome == machine.DONE and is_newer(present, before[-1]):
            self.journal.write(Idle(), [Remember(present, "its owner went back from it")])
        return entry

    def _become(self, version: str) -> Entry:
        present = self.present
        self.journal.learn(present.version, present.state_schema, present.settings_schema)
        entry = self._updater.become(present.version, version)
        available = told.read(self.folder) or told.Told()
        is_done = entry.outcome == machine.DONE and available.available == version
        self._tell(underway=None, **({"available": None, "held": None} if is_done else {}))
        return entry

    @property
    def _here(self) -> Here:
        present = self.present
        return Here(
            version=present.version,
            node_id=present.node_id,
            protocol=present.protocol,
            state_schema=present.state_schema,
            oldest_state_schema=present.oldest_state_schema,
            failed=self.journal.failed,
        )

    @property
    def _updater(self) -> Updater:
        return Updater(
            journal=self.journal,
            installer=self.installer,
            node=self.node,
            fetch=lambda version: self._index().fetch(version, kind_of_file(self.kind)),
            tell=self.tell,
            underway=self._tell_underway,
        )

    def _index(self) -> Index:
        if self._found is None:
            if self.terms.source is None:
                raise ConfigError(
                    "this installation knows of no index of releases; name one: "
                    "byoi update --from FOLDER, or index in [update] of the configuration"
                )
            self._found = Index(self.terms.source, self.terms.root, self.folder, self.fetcher)
        return self._found

    def _have_way_back(self) -> None:
        """The package of the version that runs: dpkg keeps none, so the index gives it once."""
        installer, version = self.installer, self.present.version
        if not isinstance(installer, Debian) or installer.has(version):
            return
        self.tell(f"Fetching {version} as well, for the way back …")
        try:
            installer.adopt(version, self._index().fetch(version, kind_of_file(self.kind)))
        except IndexTrouble as trouble:
            self.tell(f"It is not to be had ({trouble}); packing it from what is installed …")
            installer.repack(version)

    def _tell_underway(self) -> None:
        state = self.journal.state
        underway = None if isinstance(state, Idle) else state.change.new
        with suppress(OSError):  # a full disk must not stop half-way what is begun
            self._tell(underway=underway)

    def _tell(self, **changes: object) -> None:
        known = told.read(self.folder) or told.Told()
        changes = {**changes, "history": self.journal.history}
        told.write(self.folder, known.model_copy(update=changes))
