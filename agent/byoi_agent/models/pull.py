"""Has a model of a hub here: chosen, looked through, all of it proven, or nothing.

What came stays when a pull ends early, and the next one goes on from there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from byoi_agent.errors import AgentError, ConfigError
from byoi_agent.models import eviction, gguf
from byoi_agent.models.digests import digest_of
from byoi_agent.models.folders import look_through, settings_in
from byoi_agent.models.hub_client import is_offline, open_hub
from byoi_agent.models.hub_errors import HubUnreachable
from byoi_agent.models.names import folder_key
from byoi_agent.models.selection import index_of, narrowed, select
from byoi_agent.models.store import FILES, PARTIAL, Manifest, PulledFile, finish
from byoi_agent.models.transfer import DiskFull, Patience, Transfer
from byoi_agent.models.wheels import Progress, bytes_in, locked
from byoi_agent.sizes import on_disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from byoi_agent.models.hub_client import Hub
    from byoi_agent.models.listing import Listing
    from byoi_agent.models.names import Reference
    from byoi_agent.models.selection import RemoteFile, Selection
    from byoi_agent.models.store import Pulled, Store

logger = logging.getLogger(__name__)

_MARGIN_BYTES: Final = 1 << 30
"""What a disk keeps free beyond the model: a node writes its usage and logs there as well."""

_FILES_AT_ONCE: Final = 4
_LIST_ATTEMPTS: Final = 4
"""Nothing has come yet that would be lost: who typed a wrong address is told within seconds."""
_REPORT_SECONDS: Final = 0.1


@dataclass(frozen=True)
class Terms:
    """Under which a pull happens, by the owner's settings.

    `remote_code` names models as owner/name@commit; `named` are the store's keys of models that the
    settings name, which are never removed to make room; `budget_bytes` is for all models together.
    """

    endpoint: str | None = None
    ca_file: Path | None = None
    may_download: bool = True
    remote_code: frozenset[str] = frozenset()
    budget_bytes: int | None = None
    named: frozenset[str] = frozenset()
    margin_bytes: int = _MARGIN_BYTES
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class Outcome:
    """A model that is here. `was_here`: nothing had to come; `removed` made room for it."""

    pulled: Pulled
    was_here: bool
    removed: tuple[str, ...] = ()


async def pull(
    reference: Reference,
    store: Store,
    terms: Terms,
    report: Callable[[Progress], None],
    *,
    file: str | None = None,
    is_pinned: bool = False,
) -> Outcome:
    """Have the model here, whole and proven.

    Raises:
        ConfigError: it cannot be had, or must not be served; asking again changes nothing.
        HubUnreachable: the hub does not answer, or breaks off; what came is kept.
        DiskFull: there is no room.
    """
    if not terms.may_download or is_offline():
        if (here := _here_already(reference, store, file)) is not None:
            return await _proven(here, store, is_pinned=is_pinned)
        why = (
            "HF_HUB_OFFLINE is set" if terms.may_download else 'the settings say downloads="never"'
        )
        raise ConfigError(
            f"{reference} cannot be pulled: {why}; see what is here: byoi models list"
        )
    async with open_hub(terms.endpoint, terms.ca_file) as hub:
        report(Progress(f"asking {hub.endpoint} for {reference}"))
        listing = await _list(hub, reference, terms.patience)
        return await _Pull(reference, store, terms, report, hub, listing).run(
            file, is_pinned=is_pinned
        )


def _here_already(reference: Reference, store: Store, file: str | None) -> Pulled | None:
    """What a reference means where no hub is asked: the newest of that name, and of that file.

    Raises:
        ConfigError: several models have the name.
    """
    if file is None:
        return store.find(str(reference))
    meant = [
        one
        for one in store.all()
        if one.is_meant_by(reference) and file in {part.name for part in one.manifest.files}
    ]
    return max(meant, key=lambda one: one.manifest.pulled_at, default=None)


async def _proven(here: Pulled, store: Store, *, is_pinned: bool) -> Outcome:
    """It is here; looked at again before that is said. Raises as `Store.prove`."""
    await asyncio.to_thread(store.prove, here)
    if is_pinned:
        store.pin(here, is_pinned=True)
    return Outcome(here, was_here=True)


async def _list(hub: Hub, reference: Reference, patience: Patience) -> Listing:
    failures = 0
    while True:
        try:
            return await hub.listing(reference.repo, reference.revision, patience.stall_seconds)
        except HubUnreachable as error:
            failures += 1
            if failures >= min(patience.attempts, _LIST_ATTEMPTS):
                raise
            await asyncio.sleep(patience.wait_seconds(failures, error.retry_after_seconds))


class _Pull:
    """One model on its way."""

    def __init__(
        self,
        reference: Reference,
        store: Store,
        terms: Terms,
        report: Callable[[Progress], None],
        hub: Hub,
        listing: Listing,
    ) -> None:
        self._reference = reference
        self._store = store
        self._terms = terms
        self._report = report
        self._hub = hub
        self._listing = listing
        self._removed: list[str] = []
        self._allows_code = f"{listing.repo}@{listing.commit}" in terms.remote_code

    async def run(self, file: str | None, *, is_pinned: bool) -> Outcome:
        repo, commit = self._listing.repo, self._listing.commit
        selection = select(
            repo,
            self._listing.files,
            file=file,
            variant=self._reference.variant,
            with_code=self._allows_code,
        )
        key = folder_key(repo, commit, selection.kind, selection.entry)
        self._store.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = self._store.folder / f"{key}.lock"
        async with locked(lock, self._report, f"downloading {repo}"):
            if (here := self._store.by_key(key)) is not None:
                return await _proven(here, self._store, is_pinned=is_pinned)
            return await self._bring(key, selection, is_pinned=is_pinned)

    async def _bring(self, key: str, selection: Selection, *, is_pinned: bool) -> Outcome:
        partial = self._store.folder / (key + PARTIAL)
        files = partial / FILES
        files.mkdir(parents=True, exist_ok=True, mode=0o700)
        _clear(files, selection)
        # One at a time, of all processes: what another pull was promised is no room for this one.
        async with locked(self._store.folder / "room.lock", self._report, "making room"):
            await asyncio.to_thread(self._make_room, key, selection, files)
            self._store.expect(key, selection.size_bytes)
        tally = _Tally(selection.size_bytes, self._listing.repo, self._report)
        transfer = Transfer(
            self._hub, self._listing, self._terms.patience, tally.landed, tally.proven
        )
        await self._bring_all(transfer, selection.side, files)
        selection = self._looked_at(selection, partial)
        tally.expect(selection.size_bytes)
        self._store.expect(key, selection.size_bytes)
        await self._bring_all(transfer, selection.weights, files)
        self._report(Progress(f"looking through {self._listing.repo}"))
        await asyncio.to_thread(self._look_through, selection, partial)
        manifest = await asyncio.to_thread(self._manifest, selection, partial, is_pinned=is_pinned)
        pulled = await asyncio.to_thread(finish, partial, self._store.folder / key, manifest)
        return Outcome(pulled, was_here=False, removed=tuple(self._removed))

    async def _bring_all(
        self, transfer: Transfer, wanted: tuple[RemoteFile, ...], files: Path
    ) -> None:
        """Some at a time.

        Raises:
            AgentError: of the first that failed; the others are let go of.
        """
        turns = asyncio.Semaphore(_FILES_AT_ONCE)

        async def bring(one: RemoteFile) -> None:
            async with turns:
                await transfer.bring(one, files / one.name)

        try:
            async with asyncio.TaskGroup() as tasks:
                for one in wanted:
                    tasks.create_task(bring(one), name=f"bring {one.name}")
        except* AgentError as group:
            failed = group.exceptions[0]
        else:
            return
        raise failed

    def _make_room(self, key: str, selection: Selection, files: Path) -> None:
        """Before a byte comes.

        Raises:
            DiskFull: the disk, or the owner's budget, has no room for it.
        """
        repo, size = self._listing.repo, selection.size_bytes
        if self._terms.budget_bytes is not None:
            others = [
                one for one in self._store.kept(self._terms.named) if one.key != key + PARTIAL
            ]
            doomed = eviction.victims(others, self._terms.budget_bytes, size)
            if doomed is None:
                raise DiskFull(
                    f"{repo} needs {on_disk(size)}, and model_disk_gib leaves room for no more "
                    "beside the models that are served, pinned or named by the settings; raise it, "
                    "or: byoi models rm NAME"
                )
            for one in doomed:
                self._store.remove_key(one)
                self._removed.append(one)
        needed = max(0, size - bytes_in(files)) + self._terms.margin_bytes
        needed += self._store.to_come(key)
        free = shutil.disk_usage(files).free
        if free < needed:
            raise DiskFull(
                f"{repo} needs {on_disk(needed)} in {self._store.folder}, with "
                f"{on_disk(self._terms.margin_bytes)} to spare; {on_disk(free)} are free: "
                "make room (byoi models rm NAME), or name a folder on another disk: --cache-dir DIR"
            )

    def _looked_at(self, selection: Selection, partial: Path) -> Selection:
        """The small files are here: no weight comes for a model that would not be served.

        Raises:
            ConfigError: it would not be.
        """
        files = partial / FILES
        index = index_of(selection)
        with _Told(self._listing.repo, partial):
            for one in selection.side:
                if one.name.endswith(".json"):
                    settings_in(files / one.name, allows_code=self._allows_code)
            if index is None:
                return selection
            content: Any = json.loads((files / index.name).read_bytes())
            weights = content.get("weight_map") if isinstance(content, dict) else None
            return narrowed(selection, weights)

    def _look_through(self, selection: Selection, partial: Path) -> None:
        files = partial / FILES
        with _Told(self._listing.repo, partial):
            if selection.kind == "safetensors":
                look_through(files, allows_code=self._allows_code)
            else:
                for one in selection.weights:
                    gguf.read(files / one.name)

    def _manifest(self, selection: Selection, partial: Path, *, is_pinned: bool) -> Manifest:
        return Manifest(
            repo=self._listing.repo,
            commit=self._listing.commit,
            revision=self._reference.revision,
            hub=self._hub.endpoint,
            kind=selection.kind,
            entry=selection.entry,
            files=tuple(_written_down(partial / FILES / one.name, one) for one in selection.files),
            pulled_at=int(time.time()),
            is_pinned=is_pinned,
        )


class _Told:
    """A refusal inside names the repository, and leaves nothing of it on the disk."""

    def __init__(self, repo: str, partial: Path) -> None:
        self._repo = repo
        self._partial = partial

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ConfigError):
            shutil.rmtree(self._partial, ignore_errors=True)
            said = str(error).replace(f"{self._partial / FILES}/", f"{self._repo}: ")
            raise ConfigError(said) from error


class _Tally:
    """Bytes that landed, told a few times a second; once all have, those that are proven."""

    def __init__(self, total: int, repo: str, report: Callable[[Progress], None]) -> None:
        self._total = total
        self._repo = repo
        self._report = report
        self._done = 0
        self._told_at = 0.0
        self._proving: dict[str, tuple[int, int]] = {}

    def expect(self, total: int) -> None:
        """So many in all, as is known now."""
        self._total = total

    def landed(self, count: int) -> None:
        """So many more, or fewer."""
        self._done += count
        now = time.monotonic()
        if now - self._told_at >= _REPORT_SECONDS or self._done == self._total:
            self._told_at = now
            self._report(Progress(f"downloading {self._repo}", self._done, self._total))

    def proven(self, file: RemoteFile, count: int) -> None:
        """So many more of a file were read for its digest; none: that begins.

        While others still come, their bytes are what is told.
        """
        done = self._proving.get(file.name, (0, 0))[0] + count if count else 0
        self._proving[file.name] = done, file.size_bytes
        now = time.monotonic()
        if self._done < self._total or now - self._told_at < _REPORT_SECONDS:
            return
        self._told_at = now
        read, size = map(sum, zip(*self._proving.values(), strict=True))
        self._report(Progress(f"proving {self._repo}", read, size))


def _written_down(path: Path, file: RemoteFile) -> PulledFile:
    """With a digest of our own where the hub told none: what changes later is seen by it."""
    algorithm, digest = file.algorithm, file.digest
    if algorithm == "length":
        logger.warning("the hub tells no digest", extra={"file": file.name})
        algorithm = "sha256"
        with path.open("rb") as stream:
            digest = digest_of(stream, algorithm, file.size_bytes)
    return PulledFile(
        name=file.name,
        size_bytes=file.size_bytes,
        algorithm=algorithm,
        digest=digest,
        modified_ns=0,
    )


def _clear(files: Path, selection: Selection) -> None:
    """What an earlier pull left that was after other files."""
    wanted = {one.name for one in selection.files}
    for path in files.rglob("*"):
        name = str(path.relative_to(files)).removesuffix(".part")
        if not path.is_dir() and name not in wanted:
            path.unlink()
