"""How a command line is read, and how an error reaches the shell."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sleepd import __version__
from sleepd.cli.app import VERBS, app, main
from sleepd.errors import NotFoundError, RefusedError
from tests.cli.conftest import Said, ScriptedDaemon

PROMISED = {
    "run", "status", "check", "sleep", "cycles", "show", "report", "rollback", "activate", "tag", "pause", "resume", "reload", "inspect",
    "serve", "config",
}  # fmt: skip


def test_every_promised_verb_exists_and_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert set(VERBS) >= PROMISED
    for verb in PROMISED:
        assert main([verb, "--help"]) == 0
        assert f"Usage: sleepd {verb}" in capsys.readouterr().out


def test_help_lists_every_verb_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.partition("Commands:")[2].splitlines() if line.strip()}
    assert set(lines) >= PROMISED
    assert all(len(lines[verb].split()) > 2 for verb in PROMISED)


def test_version_is_printed_and_nothing_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sleepd {__version__}\n"


@pytest.mark.parametrize(
    "arguments", [["no-such-verb"], ["status", "--no-such-option"], ["tag", "1"], ["tag", "none", "x"], ["-c"], ["activate", "yesterday"]]
)
def test_a_wrong_command_line_is_one_cause_one_remedy_and_exit_status_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    cause, remedy = capsys.readouterr().err.splitlines()
    assert cause.startswith("sleepd: ") and remedy.startswith("remedy: see sleepd")


def test_without_a_daemon_the_exit_status_is_3_and_the_remedy_says_how_to_start_one(say: Callable[..., Said], tmp_path: Path) -> None:
    said = say("status")
    assert said.code == 3 and said.out == ""
    cause, remedy = said.err.splitlines()
    assert str(tmp_path / "run/control.sock") in cause
    assert "systemctl start sleepd" in remedy


def test_what_the_daemon_refuses_with_becomes_exit_status_and_remedy(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["rollback"] = NotFoundError("no cycle 9", "see `sleepd cycles`")
    daemon.answers["sleep"] = RefusedError("the gate refused\ncycle 3", "read `sleepd report`")
    assert say("rollback", "9") == Said(4, "", "sleepd: no cycle 9\nremedy: see `sleepd cycles`\n")
    assert say("sleep") == Said(5, "", "sleepd: the gate refused; cycle 3\nremedy: read `sleepd report`\n")


def test_with_json_an_error_is_a_document_on_stdout_too(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["rollback"] = NotFoundError("no cycle 9", "see `sleepd cycles`")
    said = say("rollback", "9", "--json")
    assert json.loads(said.out) == {"error": "no cycle 9", "remedy": "see `sleepd cycles`", "exit_code": 4}
    assert said.err.splitlines()[0] == "sleepd: no cycle 9"
    wrong = say("tag", "x", "y", "--json")
    assert json.loads(wrong.out)["exit_code"] == wrong.code == 2


def test_the_configuration_file_may_stand_before_or_after_the_verb(daemon: ScriptedDaemon, configuration: Path) -> None:
    daemon.answers["pause"] = {}
    assert main(["-c", str(configuration), "pause"]) == 0
    assert main(["pause", "-c", str(configuration)]) == 0
    assert main(["pause", "--config", str(configuration)]) == 0
    assert [command for command, _ in daemon.asked] == ["pause"] * 3


def test_every_request_that_changes_something_says_who_asks(
    say: Callable[..., Said], daemon: ScriptedDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "alice")
    daemon.answers.update({"pause": {}, "resume": {}, "tag": {}})
    for line in (["pause"], ["resume"], ["tag", "3", "before-holidays"]):
        assert say(*line).code == 0
    assert all(str(args["by"]).startswith("alice@") for _, args in daemon.asked)
    assert daemon.asked[2][1] | {"by": ""} == {"number": 3, "name": "before-holidays", "by": ""}


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    ended = subprocess.run(
        f"{sys.executable} -m sleepd --help | true",
        shell=True,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.stderr == ""


def test_colours_are_for_terminals_only(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["check"] = {"should_run": True, "reason": "ready", "checks": [{"name": "phase", "ok": True, "detail": "NIGHT"}]}
    assert "\x1b[" not in say("check").out


def test_shell_completion_knows_the_verbs() -> None:
    from click.shell_completion import ShellComplete

    found = ShellComplete(app, {}, "sleepd", "_SLEEPD_COMPLETE").get_completions([], "ro")
    assert [item.value for item in found] == ["rollback"]
