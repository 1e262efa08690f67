"""Where state, runtime, cache and the paths that are derived from them lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from sleepd.config import Directories, Loaded, SearchPath, load

NOWHERE = SearchPath(())


def directories(env: dict[str, str], uid: int, *, text: str = "", tmp_path: Path | None = None) -> Directories:
    return loaded(env, uid, text, tmp_path).directories


def loaded(env: dict[str, str], uid: int, text: str = "", tmp_path: Path | None = None) -> Loaded:
    if tmp_path is None:
        return load(None, None, env, NOWHERE, uid)
    file = tmp_path / "c.toml"
    file.write_text(text)
    return load(file, None, env, NOWHERE, uid)


def paths(state: str, runtime: str, cache: str, configuration: str) -> Directories:
    return Directories(Path(state), Path(runtime), Path(cache), Path(configuration))


def test_systemd_decides_where_it_has_decided() -> None:
    env = {
        "STATE_DIRECTORY": "/var/lib/x:/var/lib/second",
        "RUNTIME_DIRECTORY": "/run/x",
        "CACHE_DIRECTORY": "/var/cache/x",
        "CONFIGURATION_DIRECTORY": "/etc/x",
        "XDG_STATE_HOME": "/elsewhere",
        "HOME": "/h",
    }
    expected = paths("/var/lib/x", "/run/x", "/var/cache/x", "/etc/x")
    assert directories(env, 0) == directories(env, 1000) == expected


def test_root_without_systemd_uses_the_systems_directories() -> None:
    env = {"HOME": "/h", "XDG_STATE_HOME": "/h/state"}
    assert directories(env, 0) == paths("/var/lib/sleepd", "/run/sleepd", "/var/cache/sleepd", "/etc/sleepd")


def test_a_user_without_systemd_uses_the_xdg_directories() -> None:
    env = {"HOME": "/h", "XDG_RUNTIME_DIR": "/run/user/1000"}
    assert directories(env, 1000) == paths("/h/.local/state/sleepd", "/run/user/1000/sleepd", "/h/.cache/sleepd", "/h/.config/sleepd")
    env = {"HOME": "/h", "XDG_STATE_HOME": "/s", "XDG_CACHE_HOME": "/c", "XDG_CONFIG_HOME": "/k"}
    assert directories(env, 1000) == paths("/s/sleepd", "/s/sleepd/run", "/c/sleepd", "/k/sleepd")


def test_an_instance_has_directories_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "nomad.toml").write_text("")
    search = SearchPath((tmp_path,))
    found = load(None, "nomad", {"HOME": "/h"}, search, 0).directories
    assert found == paths("/var/lib/sleepd-nomad", "/run/sleepd-nomad", "/var/cache/sleepd-nomad", "/etc/sleepd")


def test_the_configuration_overrules_systemd(tmp_path: Path) -> None:
    text = '[directories]\nstate = "/s"\nruntime = "~/r"\n'
    env = {"STATE_DIRECTORY": "/var/lib/x", "CACHE_DIRECTORY": "/var/cache/x", "HOME": "/h"}
    assert directories(env, 0, text=text, tmp_path=tmp_path) == paths("/s", "/h/r", "/var/cache/x", "/etc/sleepd")


def test_derived_paths_follow_the_directories() -> None:
    found = loaded({"HOME": "/h", "STATE_DIRECTORY": "/s", "RUNTIME_DIRECTORY": "/r"}, 0)
    assert found.buffers == [Path("/s/experience_buffer.json")]
    assert found.capture_buffer == Path("/s/experience_buffer.json")
    assert found.socket == Path("/r/control.sock")
    assert found.model is None


def test_configured_paths_are_used_and_tilde_is_home(tmp_path: Path) -> None:
    text = '[model]\npath = "~/m"\n[experience]\nbuffers = ["~/a.json", "/b.json"]\n[control]\nsocket = "/x.sock"\n'
    found = loaded({"HOME": "/h"}, 1000, text, tmp_path)
    assert found.model == Path("/h/m")
    assert found.buffers == [Path("/h/a.json"), Path("/b.json")]
    assert found.capture_buffer == Path("/h/a.json")
    assert found.socket == Path("/x.sock")
    assert loaded({"HOME": "/h"}, 1000, text + '[serve]\nbuffer = "~/c.json"', tmp_path).capture_buffer == Path("/h/c.json")


@pytest.mark.parametrize("uid", [0, 1000])
def test_nothing_is_created(tmp_path: Path, uid: int) -> None:
    loaded({"HOME": str(tmp_path), "STATE_DIRECTORY": str(tmp_path / "state")}, uid)
    assert list(tmp_path.iterdir()) == []
