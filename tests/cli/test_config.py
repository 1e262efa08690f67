"""``config show`` and ``config check``."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from sleepd.cli.app import main
from tests.cli.conftest import Said


def test_what_is_shown_is_a_configuration_that_means_the_same(say: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "shown.toml").write_text(say("config", "show").out)
    again = json.loads(say("config", "show", "--json").out)["config"]
    main(["-c", str(tmp_path / "shown.toml"), "config", "check", str(tmp_path / "shown.toml")])
    shown = tomllib.loads((tmp_path / "shown.toml").read_text())
    assert {section: {key: value for key, value in content.items() if value is not None} for section, content in again.items()} == shown


def test_origin_names_the_file_that_set_a_key(say: Callable[..., Said], configuration: Path) -> None:
    drop_in = configuration.with_name(configuration.name + ".d") / "50-night.toml"
    drop_in.parent.mkdir()
    drop_in.write_text('[schedule]\nnight = "21:00"\n')
    lines = {line.split(" = ")[0]: line for line in say("config", "show", "--origin").out.splitlines() if " = " in line}
    assert lines["night"].endswith(f"# {drop_in}") and '"21:00"' in lines["night"]
    assert lines["day"].endswith("# default")
    origins = json.loads(say("config", "show", "--origin", "--json").out)["origins"]
    assert origins["schedule.night"] == str(drop_in) and origins["directories.state"] == str(configuration)


def test_a_valid_file_is_said_to_be_valid(say: Callable[..., Said], tmp_path: Path) -> None:
    file = tmp_path / "other.toml"
    file.write_text('[schedule]\npreset = "fleet"\n')
    assert say("config", "check", str(file)) == Said(0, f"{file} is valid: 1 key set, the others at their defaults\n", "")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[schedule]\nmin_experience = 3\n", "schedule.min_experience"),
        ("[experience]\nmin_salience = 7\n", "experience.min_salience"),
        ('[serve]\nport = "high"\n', "serve.port"),
        ("[schedule\n", "not TOML"),
    ],
)
def test_an_invalid_file_is_exit_status_2_naming_file_and_key(say: Callable[..., Said], tmp_path: Path, content: str, named: str) -> None:
    file = tmp_path / "bad.toml"
    file.write_text(content)
    said = say("config", "check", str(file))
    assert said.code == 2 and said.out == ""
    cause, remedy = said.err.splitlines()
    assert str(file) in cause and named in cause and remedy.startswith("remedy: ")


def test_a_missing_file_is_named(say: Callable[..., Said], tmp_path: Path) -> None:
    said = say("config", "check", str(tmp_path / "none.toml"))
    assert said.code == 2 and "none.toml does not exist" in said.err
