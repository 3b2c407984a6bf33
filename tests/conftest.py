"""What every test run shares: with `--leave-nothing-out` a skipped test is a failure.

A machine without nginx or a compiler runs what it can and says what it left out; continuous
integration must run it all. A skip that starts with "only on" names another operating system.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--leave-nothing-out",
        action="store_true",
        help="fail when a test is skipped for want of a tool",
    )


class LeftOut:
    """Sole owner of the list of tests that were skipped for want of something."""

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not reason.removeprefix("Skipped: ").startswith("only on "):
            self.reasons.append(f"{report.nodeid}: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.reasons and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.reasons:
            terminalreporter.section("left out, which this run does not allow")
            terminalreporter.write("".join(f"{reason}\n" for reason in self.reasons))


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--leave-nothing-out"):
        config.pluginmanager.register(LeftOut())
