"""The quick way to the control socket gives what the validated configuration gives, and more when that is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from sleepd.cli.socket import find
from sleepd.config import SearchPath, load
from sleepd.errors import ConfigError

ENVIRONMENTS = [
    {"HOME": "/home/alice"},
    {"HOME": "/home/alice", "XDG_RUNTIME_DIR": "/run/user/1000"},
    {"HOME": "/home/alice", "XDG_STATE_HOME": "/data/state"},
    {"HOME": "/home/alice", "RUNTIME_DIRECTORY": "/run/sleepd:/run/more", "STATE_DIRECTORY": "/var/lib/sleepd"},
]
CONTENTS = [
    "",
    '[control]\nsocket = "/somewhere/else.sock"\n',
    '[control]\nsocket = "~/else.sock"\n',
    '[directories]\nruntime = "/elsewhere/run"\nstate = "/elsewhere/state"\n',
    '[directories]\nruntime = "~/run"\n[control]\nsocket = ""\n',
]


@pytest.mark.parametrize("env", ENVIRONMENTS)
@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("uid", [0, 1000])
@pytest.mark.parametrize("instance", [None, "alice"])
def test_it_is_the_socket_of_the_validated_configuration(
    tmp_path: Path, env: dict[str, str], content: str, uid: int, instance: str | None
) -> None:
    search = SearchPath((tmp_path / "high", tmp_path / "low"))
    (tmp_path / "low").mkdir()
    (tmp_path / "low" / f"{instance or 'sleepd'}.toml").write_text(content)
    expected = load(None, instance, env, search, uid).socket
    assert find(None, instance, env, uid, search) == expected


def test_drop_ins_count(tmp_path: Path) -> None:
    search = SearchPath((tmp_path,))
    (tmp_path / "sleepd.toml").write_text('[control]\nsocket = "/first.sock"\n')
    (tmp_path / "sleepd.toml.d").mkdir()
    (tmp_path / "sleepd.toml.d" / "50-socket.toml").write_text('[control]\nsocket = "/second.sock"\n')
    assert find(None, None, {"HOME": "/x"}, 1000, search) == Path("/second.sock")


def test_a_file_given_by_hand_counts_alone(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[control]\nsocket = "/mine.sock"\n')
    assert find(file, None, {"HOME": "/x"}, 1000, SearchPath((tmp_path,))) == Path("/mine.sock")


def test_a_broken_file_does_not_hide_a_running_daemon(tmp_path: Path) -> None:
    (tmp_path / "sleepd.toml").write_text("[control\n")
    socket = tmp_path / "run" / "control.sock"
    env = {"HOME": "/x", "RUNTIME_DIRECTORY": str(tmp_path / "run")}
    with pytest.raises(ConfigError, match=r"sleepd\.toml"):
        find(None, None, env, 1000, SearchPath((tmp_path,)))
    socket.parent.mkdir()
    socket.touch()
    assert find(None, None, env, 1000, SearchPath((tmp_path,))) == socket


def test_wrong_types_are_left_to_the_validation(tmp_path: Path) -> None:
    (tmp_path / "sleepd.toml").write_text("control = 3\n[directories]\nruntime = 7\n")
    env = {"HOME": "/x", "RUNTIME_DIRECTORY": "/run/sleepd"}
    assert find(None, None, env, 1000, SearchPath((tmp_path,))) == Path("/run/sleepd/control.sock")


def test_a_name_that_is_no_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="instance"):
        find(None, "../escape", {"HOME": "/x"}, 1000, SearchPath((tmp_path,)))
