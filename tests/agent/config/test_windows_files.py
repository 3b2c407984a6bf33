from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

import pytest

from byoi_agent.config.sddl import private, service_sid
from byoi_agent.config.windows_files import WindowsFiles
from byoi_agent.errors import ConfigError

ME = "S-1-5-21-1-2-3-1001"
OTHER = "S-1-5-21-1-2-3-1002"
GROUP = "S-1-5-21-1-2-3-2000"
SERVICE = service_sid("byoi")


@dataclass
class Windows:
    """A disk on which each path has its rights; a file has those it was made with."""

    of: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    group: str | None = None
    links: set[str] = field(default_factory=set)
    opened: dict[int, str] = field(default_factory=dict)

    def me(self):
        return ME

    def account(self, name):
        assert name == "byoi"
        return self.group

    def normal(self, account):
        return self.aliases.get(account, account)

    def rights(self, place):
        key = self.opened[place] if isinstance(place, int) else str(place)
        if key not in self.of:
            raise OSError(errno.EACCES, "Access is denied")
        return self.of[key]

    def create(self, path, rights):
        self.of[str(path)] = f"O:{ME}{rights or 'inherited'}"
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)

    def open(self, path):
        descriptor = os.open(path, os.O_RDONLY)
        self.opened[descriptor] = str(path)
        return descriptor

    def is_link(self, descriptor):
        return self.opened[descriptor] in self.links

    def make_folder(self, path, rights):
        path.mkdir()
        self.of[str(path)] = f"O:{ME}{rights or self.of[str(path.parent)].partition(ME)[2]}"


@pytest.fixture
def windows():
    return Windows()


@pytest.fixture
def files(windows):
    return WindowsFiles(windows, lambda _: None)


def test_a_file_in_an_open_folder_is_made_for_this_account_alone(tmp_path, windows, files):
    windows.of[str(tmp_path)] = "O:SYD:(A;OICI;FA;;;SY)(A;OICI;0x1200a9;;;BU)"
    os.close(files.create(tmp_path / "key"))
    assert windows.of[str(tmp_path / "key")] == f"O:{ME}{private(ME)}"


def test_a_file_in_a_private_folder_takes_what_that_hands_down(tmp_path, windows, files):
    windows.of[str(tmp_path)] = f"O:BA{private(SERVICE)}"  # an administrator enrols the service
    os.close(files.create(tmp_path / "key"))
    assert windows.of[str(tmp_path / "key")] == f"O:{ME}inherited"


def test_a_folder_that_does_not_show_its_rights_is_taken_for_open(tmp_path, windows, files):
    os.close(files.create(tmp_path / "key"))
    assert windows.of[str(tmp_path / "key")].endswith(private(ME))


def test_a_file_that_is_rewritten_keeps_its_rights_but_not_its_owner(tmp_path, windows, files):
    windows.of[str(tmp_path / "config")] = "O:BAD:(A;;FA;;;BA)(A;;FR;;;BU)"
    os.close(files.create(tmp_path / "draft", tmp_path / "config"))
    assert windows.of[str(tmp_path / "draft")] == f"O:{ME}D:(A;;FA;;;BA)(A;;FR;;;BU)"


@pytest.mark.parametrize("who", ["BU", "WD", "AU", OTHER])
def test_a_secret_that_others_may_read_is_refused_with_its_mend(tmp_path, windows, files, who):
    path = tmp_path / "key"
    path.write_bytes(b"x")
    windows.of[str(path)] = f"O:{ME}{private(ME)}(A;;FR;;;{who})"
    with pytest.raises(ConfigError, match="icacls"):
        files.open_private(path)


def test_a_secret_that_others_may_write_is_refused(tmp_path, windows, files):
    path = tmp_path / "key"
    path.write_bytes(b"x")
    windows.of[str(path)] = f"O:{ME}{private(ME)}(A;;WD;;;{OTHER})"
    with pytest.raises(ConfigError, match="others"):
        files.open_private(path)


def test_what_only_trusted_accounts_may_read_is_read(tmp_path, windows, files):
    path = tmp_path / "control.json"
    path.write_bytes(b"x")
    windows.group = GROUP
    windows.aliases[ME] = "LA"  # the machine's own administrator has two letters
    windows.of[str(path)] = f"O:LA{private('LA', SERVICE, readers=(GROUP,))}"
    with os.fdopen(files.open_private(path), "rb") as file:
        assert file.read() == b"x"


def test_the_groups_members_may_read_and_not_write(tmp_path, windows, files):
    path = tmp_path / "control.json"
    path.write_bytes(b"x")
    windows.group = GROUP
    windows.of[str(path)] = f"O:{ME}{private(ME, GROUP)}"
    with pytest.raises(ConfigError):
        files.open_private(path)


def test_a_link_is_never_read_through(tmp_path, windows, files):
    path = tmp_path / "key"
    path.write_bytes(b"planted")
    windows.links.add(str(path))
    with pytest.raises(ConfigError, match="plain file"):
        files.open_private(path)
    (descriptor,) = windows.opened
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


def test_a_missing_file_and_a_barred_one_are_two_answers(tmp_path, files, monkeypatch):
    with pytest.raises(FileNotFoundError):
        files.open_private(tmp_path / "none")
    with pytest.raises(ConfigError, match="cannot be read"):
        files.open_private(tmp_path / ("x" * 300))


def test_what_is_missing_above_a_folder_is_private_too(tmp_path, windows, files):
    windows.of[str(tmp_path)] = "O:SYD:(A;;FA;;;SY)(A;CI;0x6;;;BU)"
    files.make_folder(tmp_path / "byoi" / "state")
    assert windows.of[str(tmp_path / "byoi")] == f"O:{ME}{private(ME)}"
    assert windows.of[str(tmp_path / "byoi" / "state")] == f"O:{ME}{private(ME)}"
    files.refuse_foreign(tmp_path / "byoi" / "state")
    files.make_folder(tmp_path / "byoi" / "state")  # once more, and nothing is made


def test_a_folder_that_somebody_else_made_first_is_refused(tmp_path, windows, files):
    windows.of[str(tmp_path)] = f"O:{OTHER}{private(ME)}"
    with pytest.raises(ConfigError, match="belongs to another user"):
        files.refuse_foreign(tmp_path)


def test_a_folder_that_others_can_write_to_is_refused(tmp_path, windows, files):
    windows.of[str(tmp_path)] = f"O:{ME}D:(A;;FA;;;{ME})(A;CI;DCLC;;;BU)"
    with pytest.raises(ConfigError, match="icacls"):
        files.refuse_foreign(tmp_path)


def test_a_file_that_is_being_read_is_replaced_once_it_is_closed(tmp_path, windows):
    left = [3]

    def closes(_):
        left[0] -= 1

    class Draft(type(tmp_path)):
        def replace(self, target):
            if left[0]:
                raise PermissionError(13, "Access is denied")
            return super().replace(target)

    draft = Draft(tmp_path / "draft")
    draft.write_bytes(b"new")
    WindowsFiles(windows, closes).replace(draft, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_file_that_stays_open_is_not_waited_for_for_ever(tmp_path, files):
    class Draft(type(tmp_path)):
        def replace(self, target):
            raise PermissionError(13, "Access is denied")

    with pytest.raises(PermissionError):
        files.replace(Draft(tmp_path / "draft"), tmp_path / "file")
