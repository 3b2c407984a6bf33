"""The setup for Windows, run by wine: what it places, what it says, and that it can go back."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from byoi_agent.config import file_locks
from byoi_agent.update import told

HERE = Path(__file__).parent
UNINSTALL = r"HKLM\Software\Microsoft\Windows\CurrentVersion\Uninstall\byoi"
RUN = r"HKLM\Software\Microsoft\Windows\CurrentVersion\Run"
ENVIRONMENT = r"HKLM\SYSTEM\CurrentControlSet\Control\Session Manager\Environment"
LONG_PATH = ";".join(f"C:\\folder-{number}-with-a-name-that-is-long" for number in range(60))
WENT_BACK = told.Entry(at=1.0, old="0.1.0", new="0.2.0", outcome="rolled back", reason="x" * 3000)

pytestmark = pytest.mark.installer


@pytest.fixture(scope="module")
def by_wine():
    if "windows_machine" not in sys.modules:
        spec = importlib.util.spec_from_file_location("windows_machine", HERE / "windows.py")
        sys.modules["windows_machine"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules["windows_machine"])
    return sys.modules["windows_machine"]


@pytest.fixture(scope="module")
def pristine(by_wine, tmp_path_factory):
    """One Windows for all tests of this file, which take away what they have installed."""
    try:
        windows = by_wine.machine(tmp_path_factory.mktemp("windows") / "prefix")
    except by_wine.MissingError as missing:
        pytest.skip(str(missing))
    yield windows
    windows.close()


@pytest.fixture
def windows(pristine):
    yield pristine
    if (pristine.byoi / "uninstall.exe").exists():
        uninstall(pristine)
    shutil.rmtree(pristine.data, ignore_errors=True)
    asked_file(pristine).unlink(missing_ok=True)


@pytest.fixture(scope="module")
def setups(by_wine, tmp_path_factory):
    """Setups of two versions of a small agent."""
    import build

    def make(version):
        release = by_wine.small_release(tmp_path_factory.mktemp("release") / version, version)
        target = tmp_path_factory.mktemp("setup")
        return build.build(target, payload=release, version=version)

    return {version: make(version) for version in ("0.1.0", "0.2.0")}


def uninstall(windows, *words):
    """Wait for it: an uninstaller that was not told where it is goes on in a copy of itself."""
    return windows.run(windows.byoi / "uninstall.exe", "/S", *words, r"_?=C:\Program Files\byoi")


def asked_file(windows):
    return windows.prefix / "drive_c" / "asked.txt"


def asked(windows):
    return asked_file(windows).read_text().splitlines()


def current(windows):
    return (windows.byoi / "current").read_text().strip()


def is_running(windows):
    return "RUNNING" in windows.run("sc", "query", "byoi").said


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("/PURG", "/PURG is not known"),
        ("/MODE=never", "/MODE is dedicated, idle or scheduled; never is none of them."),
        ("/JOINTOKENFILE=C:\\token.txt", "/JOINTOKENFILE needs /CONSOLE=URL as well."),
        ("/PYTHON=C:\\no such\\python.exe", "There is no file C:\\no such\\python.exe (/PYTHON)."),
        ("/CONSOLE", "/CONSOLE needs a value"),
    ],
)
def test_a_wrong_word_is_refused_before_anything_is_changed(windows, setups, word, said):
    done = windows.run(setups["0.1.0"], "/S", word)
    assert done.code == 64
    assert said in done.said
    assert not windows.byoi.exists()


LOCKS = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("file_locks", sys.argv[1])
file_locks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(file_locks)
print(file_locks.lock(os.open(sys.argv[2], os.O_RDWR | os.O_CREAT)), flush=True)
sys.stdin.read()
"""


def test_while_an_update_proves_its_version_none_is_put_in_its_place(windows, setups, by_wine):
    update = windows.byoi / "update"
    update.mkdir(parents=True)
    told.write(update, told.Told(underway="0.3.0", history=(WENT_BACK,)))
    named = by_wine.windows_path(windows.prefix, Path(file_locks.__file__))
    lock = by_wine.windows_path(windows.prefix, update / "lock")
    with subprocess.Popen(
        ["wine", windows.python, "-I", "-c", LOCKS, named, lock],
        env=by_wine.environment(windows.prefix),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as updater:
        assert updater.stdout.readline().strip() == b"True"
        done = windows.run(setups["0.1.0"], "/S", f"/PYTHON={windows.python}")
        told.write(update, told.Told())  # it only looks
        with subprocess.Popen(
            ["wine", setups["0.1.0"], "/S", "/PROXY=http://127.0.0.1:9"],
            env=by_wine.environment(windows.prefix),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as waiting:
            assert any(b"waiting for the end of that" in line for line in waiting.stdout)
            updater.stdin.close()
            went_on = waiting.stdout.read()
    assert done.code == 2
    assert "byoi updates itself to 0.3.0 just now" in done.said
    assert "byoi update --status" in done.said
    assert (waiting.returncode, b"Behind a proxy" in went_on) == (11, True)
    told.write(update, told.Told(underway="0.3.0"))  # power was lost
    broken_off = windows.run(setups["0.1.0"], "/S", "/PROXY=http://127.0.0.1:9")
    shutil.rmtree(windows.byoi)
    assert broken_off.code == 11


BESIDE = """
import importlib.util, os
spec = importlib.util.spec_from_file_location("file_locks", {named!r})
file_locks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(file_locks)
with open("C:/free.txt", "a") as file:
    print(file_locks.lock(os.open({lock!r}, os.O_RDWR)), file=file)
"""


def test_no_update_begins_while_a_first_version_is_installed(windows, setups, by_wine):
    drive = windows.prefix / "drive_c"
    named = by_wine.windows_path(windows.prefix, Path(file_locks.__file__))
    lock = by_wine.windows_path(windows.prefix, windows.byoi / "update" / "lock")
    (drive / "beside.py").write_text(BESIDE.format(named=named, lock=lock))
    done = windows.run(setups["0.1.0"], "/S", "/NOSTART", f"/PYTHON={windows.python}")
    (drive / "beside.py").unlink()
    assert done.code == 0, done.said
    assert (drive / "free.txt").read_text().split() == ["False"] * 2


def test_without_a_python_it_says_what_to_do_and_leaves_nothing(windows, setups, by_wine, tmp_path):
    log = tmp_path / "setup.log"
    done = windows.run(
        setups["0.1.0"],
        *("/S", "/PROXY=http://127.0.0.1:9", f"/LOG={by_wine.windows_path(windows.prefix, log)}"),
    )
    assert done.code == 11
    assert "127.0.0.1:9" not in done.said
    for text in (done.said, log.read_text()):
        assert "Behind a proxy: /PROXY=http://HOST:PORT." in text
        assert "Nothing was installed." in text
    assert not windows.byoi.exists()
    assert windows.registry(UNINSTALL) is None


def test_an_installation_from_its_first_day_to_its_last(windows, setups, by_wine, tmp_path):
    windows.run(
        "reg", "add", ENVIRONMENT, "/v", "Path", "/t", "REG_EXPAND_SZ", "/d", LONG_PATH, "/f"
    )
    token = tmp_path / "a token.txt"
    token.write_text("byoi-join-secret")
    done = windows.run(
        setups["0.1.0"],
        *("/S", f"/PYTHON={windows.python}", "/CONSOLE=https://console.example", "/MODE=dedicated"),
        *(f"/JOINTOKENFILE={by_wine.windows_path(windows.prefix, token)}", "/MODEL=some/model"),
    )
    assert done.code == 0, done.said
    assert "One token was answered." in done.said
    assert "byoi-join-secret" not in (windows.data / "setup.log").read_text()
    assert asked(windows) == [
        "0.1.0 version",
        "0.1.0 service install --system --no-start",
        "0.1.0 models serve some/model",
        "0.1.0 config set mode dedicated",
        "0.1.0 enroll --console https://console.example --join-token-file "
        + by_wine.windows_path(windows.prefix, token),
        "0.1.0 prove --wait 900",
    ]
    assert is_running(windows)
    assert windows.registry(ENVIRONMENT, "Path").endswith(
        f"{LONG_PATH};C:\\Program Files\\byoi\\bin"
    )
    assert windows.registry(UNINSTALL, "DisplayVersion").endswith("0.1.0")
    assert windows.registry(UNINSTALL, "EstimatedSize")
    assert 'byoi-window.exe" --quiet session' in windows.registry(RUN, "byoi session")
    assert list(windows.prefix.rglob("byoi dashboard.lnk"))
    assert windows.run(windows.byoi / "bin" / "byoi.exe", "version").said == "byoi 0.1.0\n"

    assert_goes_back(windows, setups["0.2.0"], "broken")
    assert_goes_back(windows, setups["0.2.0"], "unproven")
    done = windows.run(setups["0.2.0"], "/S", f"/PYTHON={windows.python}")
    assert done.code == 0, done.said
    assert current(windows) == "0.2.0"
    assert is_running(windows)
    assert (windows.byoi / "versions" / "0.1.0").is_dir()
    assert windows.registry(ENVIRONMENT, "Path").count(r"byoi\bin") == 1

    done = uninstall(windows)
    assert done.code == 0, done.said
    assert [each.name for each in windows.byoi.glob("*")] in ([], ["uninstall.exe"])
    assert windows.registry(UNINSTALL) is None
    assert windows.registry(RUN, "byoi session") is None
    assert windows.registry(ENVIRONMENT, "Path").endswith(LONG_PATH)
    assert windows.run("sc", "query", "byoi").code
    assert not list(windows.prefix.rglob("byoi dashboard.lnk"))
    assert (windows.data / "state" / "identity.json").exists()


def test_what_the_node_keeps_goes_when_it_is_asked_for(windows, setups):
    (windows.data / "state").mkdir(parents=True, exist_ok=True)
    done = windows.run(setups["0.1.0"], "/S", "/NOSTART", f"/PYTHON={windows.python}")
    assert done.code == 0, done.said
    assert "Not connected to a console yet." in done.said
    assert uninstall(windows, "/PURGE").code == 0
    assert not windows.data.exists()


def assert_goes_back(windows, setup, how):
    """A version whose service does not come up, or does not serve, makes way for the one before."""
    note = windows.prefix / "drive_c" / how
    note.write_text("0.2.0")
    done = windows.run(setup, "/S", f"/PYTHON={windows.python}")
    note.unlink()
    assert done.code == 13
    assert "Version 0.1.0 is back." in done.said
    assert current(windows) == "0.1.0"
    assert is_running(windows)
    assert asked(windows)[-1] == "0.1.0 service install --system --no-start"
    assert not (windows.byoi / "versions" / "0.2.0").exists()
