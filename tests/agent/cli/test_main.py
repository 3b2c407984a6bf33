from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from byoi_agent import errors
from byoi_agent.cli import main, program
from byoi_agent.config.lock import StateInUse
from byoi_agent.control.client import NodeUnreachable
from byoi_agent.link.supervisor import LinkStopped


@pytest.fixture
def failing(monkeypatch):
    """A command that ends with this error."""

    def command(error):
        @click.command()
        def boom():
            raise error

        monkeypatch.setattr(program.LazyCommands, "get_command", lambda *_: boom)

    return command


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 78),
        (errors.IdentityError("x"), 78),
        (errors.KeyringAway("x"), 69),
        (errors.LinkError("x", retry=True), 69),
        (LinkStopped("revoked", "x"), 78),
        (LinkStopped("replaced", "x"), 78),
        (errors.EngineError("x"), 69),
        (NodeUnreachable("x"), 69),
        (StateInUse("x"), 69),
        (errors.AgentError("x"), 1),
        (ValueError("x"), 70),
        (OSError(errno.ENOSPC, "No space left on device"), 1),
        (OSError(errno.ENAMETOOLONG, "File name too long", "/x"), 78),
        (OSError(errno.EBADF, "Bad file descriptor"), 70),
        (KeyboardInterrupt(), 130),
        (click.UsageError("x"), 64),
        (SystemExit(3), 3),
        (BrokenPipeError(), 1),
        (ExceptionGroup("g", [ValueError("no"), errors.ConfigError("x")]), 78),
        (ExceptionGroup("g", [ExceptionGroup("h", [errors.EngineError("x")])]), 69),
        (BaseExceptionGroup("g", [KeyboardInterrupt()]), 130),
    ],
)
def test_each_end_has_its_exit_code(byoi, failing, error, code):
    failing(error)
    assert byoi("version")[0] == code


def test_an_error_is_one_sentence_without_a_traceback(byoi, failing):
    failing(errors.ConfigError("slots must be at least 1; choose another"))
    _, out, err = byoi("version")
    assert (out, err) == ("", "byoi: slots must be at least 1; choose another\n")


def test_a_full_disk_is_no_fault_of_ours(byoi, failing):
    failing(OSError(errno.ENOSPC, "No space left on device", "/state/control.json"))
    _, _, err = byoi("version")
    words = "cannot write /state/control.json: No space left on device; make room and try again"
    assert err == f"byoi: {words}\n"


def test_a_place_that_cannot_be_used_is_no_fault_of_ours(byoi, tmp_path):
    code, _, err = byoi("status", "--data-dir", tmp_path / ("x" * 5000))
    assert code == 78
    assert err.endswith("give this user the right to it\n")
    assert "File name too long" in err


def test_debug_shows_the_traceback(byoi, failing):
    failing(ValueError("x"))
    _, _, err = byoi("--debug", "version")
    assert "Traceback" in err
    _, _, err = byoi("version")
    assert "Traceback" not in err
    assert "--debug" in err


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["run", "--nonsense"], ["usage", "--since", "x"]]
)
def test_a_wrong_command_line_is_a_usage_error(byoi, arguments):
    assert byoi(*arguments)[0] == 64


@pytest.mark.parametrize(
    ("typed", "told"),
    [("statsu", "did you mean 'status'?"), ("zzz", "byoi help shows"), ("", "byoi help shows")],
)
def test_a_command_that_there_is_not_is_told_with_the_nearest(byoi, typed, told):
    code, _, err = byoi(typed)
    assert (code, f"there is no command {typed!r}" in err, told in err) == (64, True, True)


@pytest.mark.parametrize("command", [[], *([name] for name in main.COMMANDS)])
def test_every_command_has_its_help(byoi, command):
    code, out, _ = byoi(*command, "--help")
    assert code == 0
    assert "Usage: byoi" in out


def test_the_version_is_told_without_loading_the_rest():
    program = (
        "import sys\n"
        "from byoi_agent.cli import main\n"
        "assert main.run(['version']) == 0\n"
        "heavy = {'aiohttp', 'rich', 'pynvml', 'keyring', 'pydantic', 'cryptography', 'psutil'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


SIGNALLED_WHILE_IMPORTING = """
import os, signal, sys
from byoi_agent.cli import main

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            os.kill(os.getpid(), signal.{name})

sys.meta_path.insert(0, Interrupt())
main.main()
"""


def signalled(name, *arguments):
    """The end of a program that gets this signal while the rest of it is being imported."""
    return subprocess.run(
        [sys.executable, "-c", SIGNALLED_WHILE_IMPORTING.format(name=name), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_ctrl_c_right_after_the_start_leaves_without_a_traceback():
    done = signalled("SIGINT", "version")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_node_that_is_told_to_stop_before_it_has_begun_was_stopped_as_told():
    done = signalled("SIGTERM", "--debug", "run")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_node_that_is_told_to_reload_before_it_has_begun_goes_on(tmp_path):
    done = signalled("SIGHUP", "run", "--data-dir", str(tmp_path / "d"))
    assert done.returncode == 78
    assert "not enrolled" in done.stderr


def test_a_reader_that_has_gone_is_no_reason_for_a_traceback():
    reader, writer = os.pipe()
    os.close(reader)
    program = "from byoi_agent.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "help", "exit-codes"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_demo_that_could_not_tell_when_it_is_ready_does_not_even_begin(byoi, tmp_path):
    code, out, err = byoi("demo", "--ready-file", tmp_path / "nowhere" / "ready.json")
    assert (code, out) == (78, "")
    assert err.startswith("byoi: --ready-file: there is no folder")


CLOSED = "import os, sys; os.close({number}); os.execv(sys.executable, sys.argv[1:])"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_stream_that_the_caller_closed_is_no_fault_and_no_file_takes_its_place(number):
    program = (
        "import os, sys\n"
        "from byoi_agent.cli.main import open_standard_streams, run\n"
        "open_standard_streams()\n"
        f"assert os.fstat({number}).st_rdev == os.stat(os.devnull).st_rdev\n"
        "sys.exit(run(['help', 'exit-codes']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", CLOSED.format(number=number), sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_output_on_a_full_disk_is_told_in_one_sentence_alone():
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        done = subprocess.run(
            [sys.executable, "-c", "from byoi_agent.cli.main import main; main()", "version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    words = "byoi: cannot write: No space left on device; make room and try again\n"
    assert (done.returncode, done.stderr) == (1, words)


@pytest.mark.parametrize("command", ["run", "status", "demo"])
def test_a_folder_without_a_name_is_not_the_one_that_one_is_in(byoi, command):
    code, _, err = byoi(command, "--data-dir", "")
    assert code == 78
    assert "--data-dir: there is nothing in it" in err
