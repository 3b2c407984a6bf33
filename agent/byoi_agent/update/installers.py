"""How a version becomes the one that runs: by a link between environments, or by dpkg."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from byoi_agent.update import dpkg_lock, late_imports, staging
from byoi_agent.update.policy import sort_key
from byoi_agent.update.programs import UpdateFailed, run

if TYPE_CHECKING:
    from byoi_agent.config.installation import Installation
    from byoi_agent.update.machine import Change

PACKAGE: Final = "byoi-agent"
DEBIAN_PREFIX: Final = Path("/usr/lib/byoi-agent")
KEEPER: Final = "keeper"
"""In the update's folder while a version is being tried: the one before, that can take it back."""


class Installer(Protocol):
    """One kind of installation."""

    def has(self, version: str) -> bool:
        """Whether a version is ready, so that it need not be fetched."""

    def stage(self, change: Change, file: Path) -> None:
        """Make a fetched release ready. Raises UpdateFailed or OSError."""

    def keep(self, change: Change) -> None:
        """Have the version before be able to take the other one back. Raises as `stage`."""

    def present(self) -> str | None:
        """Which version starts; None where that cannot be said, as after half an installation."""

    def point_at(self, version: str, away: str) -> None:
        """Have that version be the one that starts, in the place of `away`; twice is once.

        Raises as `stage`: also where a third one stands there by now, which a person wants.
        """

    def environment(self, version: str) -> Path:
        """Where that version's code is now, while it is the one that runs or one beside it."""

    def clear(self, keep: set[str]) -> None:
        """Clear away all other versions, as far as that goes, and what was half made.

        Never the one that starts: a person may have put it there.
        """


class Versions:
    """Environments side by side below `root`; `current` names the one that runs."""

    def __init__(self, installation: Installation, folder: Path, trust: bytes) -> None:
        assert installation.root is not None
        self._installation = installation
        self._root = installation.root
        self._folder = folder
        self._trust = trust

    def has(self, version: str) -> bool:
        """As `Installer`."""
        return staging.program_of(self.environment(version)).exists()

    def stage(self, change: Change, file: Path) -> None:
        """As `Installer`."""
        target = self.environment(change.new)
        target.parent.mkdir(exist_ok=True)
        staging.stage(file, change.new, target, self._installation, self._trust)

    def keep(self, change: Change) -> None:
        """As `Installer`."""
        if not self.has(change.old):
            raise UpdateFailed(f"{self.environment(change.old)} is gone, there is no way back")
        keeper = self._folder / KEEPER
        point(keeper, self.environment(change.old), is_windows=os.name == "nt")

    def present(self) -> str | None:
        """As `Installer`."""
        place = self._root / "current"
        try:
            named = place.read_text(encoding="utf-8") if os.name == "nt" else str(place.readlink())
        except (OSError, ValueError):
            return None
        return Path(named.strip()).name

    def point_at(self, version: str, away: str) -> None:
        """As `Installer`."""
        if not self.has(version):
            raise UpdateFailed(f"{version} is not in {self._root / 'versions'}")
        _refuse_third(self.present(), version, away)
        make_current(self._root, version, is_windows=os.name == "nt")

    def environment(self, version: str) -> Path:
        """As `Installer`."""
        sort_key(version)  # a name from elsewhere must not lead elsewhere
        return self._root / "versions" / version

    def clear(self, keep: set[str]) -> None:
        """As `Installer`."""
        clear_downloads(self._folder)
        (self._folder / KEEPER).unlink(missing_ok=True)
        for found in (self._root / "versions").iterdir():
            if found.name not in {*keep, self.present()}:
                shutil.rmtree(found, ignore_errors=True)


class Debian:
    """The package of dpkg; the last two are kept as files, since dpkg keeps none."""

    def __init__(self, folder: Path, prefix: Path = DEBIAN_PREFIX) -> None:
        self._folder = folder
        self._prefix = prefix

    def has(self, version: str) -> bool:
        """As `Installer`."""
        return self._file(version).exists()

    def stage(self, change: Change, file: Path) -> None:
        """As `Installer`; a package under another name, or of another version, is refused."""
        self.adopt(change.new, file)

    def adopt(self, version: str, file: Path) -> None:
        """Keep a package's file.

        Raises:
            UpdateFailed: it is another package, or another version.
        """
        said = run(["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(file)])
        name, _, found = said.strip().partition(" ")
        if name != PACKAGE or found.replace("~", "") != version:
            raise UpdateFailed(f"{file.name} is {said.strip()}, not {PACKAGE} {version}")
        target = self._file(version)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        with file.open("rb") as content:  # the name must not be there before what it stands for
            os.fsync(content.fileno())
        if file != target:
            file.replace(target)

    def repack(self, version: str) -> None:
        """Make the package of what is installed anew, as dpkg knows it.

        Raises:
            UpdateFailed: it is not installed by dpkg, or cannot be packed.
        """
        said = run(["dpkg-query", "--show", "--showformat=${Version}", PACKAGE]).strip()
        if said.replace("~", "") != version:
            raise UpdateFailed(f"dpkg has installed {said or 'nothing'}, not {version}")
        draft = self._folder / "repacked"
        shutil.rmtree(draft, ignore_errors=True)
        try:
            _lay_out(draft)
            made = self._folder / "downloads" / f"{version}.deb"
            made.parent.mkdir(mode=0o700, exist_ok=True)
            run(["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(draft), str(made)])
            self.adopt(version, made)
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def keep(self, change: Change) -> None:
        """As `Installer`: dpkg replaces the files that this program runs from.

        Whoever typed `byoi update` runs from them; from here on it imports from the copy.
        """
        if not self.has(change.old):
            raise UpdateFailed(
                f"the package of {change.old} is not at hand, so that there would be no way back; "
                f"put byoi-agent_{change.old}_*.deb into {self._file(change.old).parent} as "
                f"{self._file(change.old).name}"
            )
        with dpkg_lock.held():  # where apt is at work the node is not even asked to stop
            pass
        keeper = self._folder / KEEPER
        draft = keeper.with_name(f"{KEEPER}.new")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(self._prefix, draft, symlinks=True, copy_function=_link_or_copy)
        shutil.rmtree(keeper, ignore_errors=True)
        draft.replace(keeper)
        late_imports.come_from(keeper, self._prefix)

    def present(self) -> str | None:
        """As `Installer`."""
        try:
            said = run(
                ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev}${Version}", PACKAGE]
            )
        except UpdateFailed:
            return None
        # The first of the three is what is wanted: also one that apt is to leave alone is there.
        return said[3:].strip().replace("~", "") if said[1:3] == "i " else None

    def point_at(self, version: str, away: str) -> None:
        """As `Installer`."""
        # The owner's configuration stays; nobody is there to be asked.
        options = ["--force-confold", "--force-confdef", "--force-downgrade"]
        with dpkg_lock.held() as told:
            _refuse_third(self.present(), version, away)  # apt may have been waited for
            run(
                ["dpkg", *options, "--install", str(self._file(version))],
                environment={"DEBIAN_FRONTEND": "noninteractive", **told},
            )

    def environment(self, version: str) -> Path:
        """As `Installer`; the keeper is the version before."""
        del version
        return self._prefix

    def clear(self, keep: set[str]) -> None:
        """As `Installer`."""
        clear_downloads(self._folder)
        late_imports.come_from(self._prefix, self._folder / KEEPER)
        shutil.rmtree(self._folder / KEEPER, ignore_errors=True)
        for found in (self._folder / "packages").glob("*.deb"):
            if found.stem not in keep:
                found.unlink(missing_ok=True)

    def _file(self, version: str) -> Path:
        sort_key(version)  # as above
        return self._folder / "packages" / f"{version}.deb"


def _refuse_third(present: str | None, version: str, away: str) -> None:
    if present not in {None, version, away}:
        raise UpdateFailed(f"{present} was installed by hand meanwhile")


def clear_downloads(folder: Path) -> None:
    """What was fetched is staged by now, or not wanted any more."""
    for found in (folder / "downloads").glob("*"):
        found.unlink(missing_ok=True)


def make_current(root: Path, version: str, *, is_windows: bool) -> None:
    """Have that version be the one that is started below `root`.

    Windows' launcher takes the bare name of a folder in `versions`, and nothing with a path in it
    (installers/windows/launcher.c); the setup reads and writes the same.
    """
    target = Path(version) if is_windows else Path("versions") / version
    point(root / "current", target, is_windows=is_windows)


def point(place: Path, target: Path, *, is_windows: bool) -> None:
    """Have a link name something else, so that whoever looks sees the one or the other.

    On Windows it is a file that holds the name: only administrators may make links there.
    """
    draft = place.with_name(f".{place.name}.{secrets.token_hex(6)}")
    try:
        if is_windows:
            draft.write_text(f"{target}\n", encoding="utf-8", newline="\n")
        else:
            draft.symlink_to(target)
        draft.replace(place)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    if sys.platform != "win32":
        descriptor = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _lay_out(draft: Path) -> None:
    """What dpkg has installed of the package, in the shape that a package is built from."""
    for line in run(["dpkg-query", "--listfiles", PACKAGE]).splitlines():
        installed = Path(line)
        target = draft / line.lstrip("/")
        if installed.is_dir() and not installed.is_symlink():
            target.mkdir(parents=True, exist_ok=True)
            target.chmod(installed.stat().st_mode & 0o7777)
        elif installed.is_symlink() or installed.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(installed, target, follow_symlinks=False)
    control = draft / "DEBIAN"
    control.mkdir(mode=0o755)
    scripts = run(["dpkg-query", "--control-list", PACKAGE]).split()
    for name in scripts:
        source = Path(run(["dpkg-query", "--control-path", PACKAGE, name]).strip())
        shutil.copy2(source, control / name)
    status = run(["dpkg-query", "--status", PACKAGE])
    (control / "control").write_text(_control_of(status), encoding="utf-8")


def _control_of(status: str) -> str:
    """A package's own fields; what dpkg has noted beside them is left out."""
    kept, is_kept = [], True
    for line in status.splitlines():
        if not line.startswith(" "):
            is_kept = line.partition(":")[0] not in {"Status", "Conffiles", "Config-Version"}
        if is_kept and line:
            kept.append(line)
    return "\n".join(kept) + "\n"


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # another file system
        shutil.copy2(source, target, follow_symlinks=False)
