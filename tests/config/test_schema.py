"""Defaults, presets, what a reload changes, and the file that explains it all."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from pydantic import ValidationError

from sleepd.adapter.limits import GateLimits
from sleepd.config import Changes, Config, SearchPath, Thresholds, diff, load

ROOT = Path(__file__).parents[2]
EXPLAINED = ROOT / "config" / "sleepd.toml"
EXAMPLES = sorted((ROOT / "config" / "sleepd.toml.d").glob("*.example"))
_KEY = re.compile(r"^#(\w+) = (.*?)(  # not set)?$")


def explained_keys() -> tuple[dict[str, object], set[str]]:
    """From config/sleepd.toml: every key with its value, and those that have no default."""
    values: dict[str, object] = {}
    unset: set[str] = set()
    section = ""
    for line in EXPLAINED.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif match := _KEY.match(line):
            values[f"{section}.{match[1]}"] = tomllib.loads(f"x = {match[2]}")["x"]
            if match[3]:
                unset.add(f"{section}.{match[1]}")
    return values, unset


def config(**sections: dict[str, object]) -> Config:
    return Config.model_validate(sections)


class TestExplainedFile:
    def test_it_names_every_key_and_no_other(self) -> None:
        values, _ = explained_keys()
        assert list(values) == list(Config().flat())

    def test_it_shows_every_default_and_says_which_keys_have_none(self) -> None:
        values, unset = explained_keys()
        defaults = Config().flat()
        assert unset == {key for key, value in defaults.items() if value is None}
        assert {key: value for key, value in values.items() if key not in unset} == {k: v for k, v in defaults.items() if v is not None}

    def test_as_it_is_delivered_it_changes_nothing(self) -> None:
        loaded = load(EXPLAINED, None, {"HOME": "/h"}, SearchPath(()), 1000)
        assert loaded.config == Config()
        assert set(loaded.origins.values()) == {"default"}
        assert loaded.files == (EXPLAINED,)  # and the examples beside it are not in force

    def test_with_every_line_switched_on_it_is_valid_and_only_the_keys_without_default_differ(self, tmp_path: Path) -> None:
        lines = [line[1:] if _KEY.match(line) else line for line in EXPLAINED.read_text().splitlines()]
        (tmp_path / "c.toml").write_text("\n".join(lines))
        whole = load(tmp_path / "c.toml", None, {"HOME": "/h"}, SearchPath(()), 1000).config
        changes = diff(Config(), whole)
        assert set(changes.applied + changes.needs_restart) == explained_keys()[1]

    def test_every_key_is_explained_above_it(self) -> None:
        """A run of keys shares the comment above it; nothing stands below a bare section."""
        previous = ""
        for line in EXPLAINED.read_text().splitlines():
            if _KEY.match(line):
                assert previous.startswith("#"), line
            previous = line

    @pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.name)
    def test_every_example_is_valid_and_changes_something(self, example: Path, tmp_path: Path) -> None:
        (tmp_path / "c.toml").write_text(example.read_text())
        assert load(tmp_path / "c.toml", None, {"HOME": "/h"}, SearchPath(()), 1000).config != Config()

    def test_there_are_examples(self) -> None:
        assert len(EXAMPLES) >= 3


class TestPresets:
    @pytest.mark.parametrize(
        ("preset", "expected"),
        [("recommended", (5, 2, 6.0)), ("conservative", (10, 5, 12.0)), ("aggressive", (3, 1, 3.0)), ("fleet", (30, 10, 12.0))],
    )
    def test_a_preset_gives_all_three_thresholds(self, preset: str, expected: tuple[int, int, float]) -> None:
        assert config(schedule={"preset": preset}).schedule.resolved() == Thresholds(*expected)

    def test_a_key_that_is_set_overrules_the_preset_even_with_zero(self) -> None:
        schedule = config(schedule={"preset": "fleet", "min_new_experiences": 0, "min_hours_between_sleep": 0}).schedule
        assert schedule.resolved() == Thresholds(30, 0, 0.0)


def test_the_gates_limits_are_those_of_the_gate() -> None:
    assert Config().gate.model_dump() == dataclasses.asdict(GateLimits())


def test_whole_numbers_are_accepted_for_decimals() -> None:
    assert config(schedule={"idle_minutes": 5}).schedule.idle_minutes == 5.0


def test_it_can_always_be_night() -> None:
    assert config(schedule={"day": "00:00", "night": "00:00"}).schedule.day == "00:00"


def test_a_configuration_never_changes() -> None:
    with pytest.raises(ValidationError):
        Config().log.level = "debug"


def test_defaults_are_not_shared_between_configurations() -> None:
    one, other = Config.model_validate({}), Config.model_validate({})
    assert one.experience.buffers is not other.experience.buffers or one.experience.buffers == []
    assert one == other


class TestDiff:
    def test_nothing_changed(self) -> None:
        assert diff(Config(), config(log={"level": "info"})) == Changes((), ())

    def test_what_can_be_taken_over_and_what_needs_a_restart(self) -> None:
        new = config(
            schedule={"preset": "fleet", "idle_minutes": 10.0},
            inference={"command": ["a"]},
            serve={"port": 1, "capture": False},
            control={"socket": "/x", "max_request_bytes": 2048},
            log={"format": "json", "level": "debug"},
            directories={"state": "/s"},
        )
        assert diff(Config(), new) == Changes(
            applied=("schedule.preset", "inference.command", "control.max_request_bytes", "log.level"),
            needs_restart=("serve.port", "serve.capture", "control.socket", "log.format", "directories.state"),
        )


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True, cwd=ROOT).stdout.strip()


def test_who_only_needs_the_places_does_not_wait_for_pydantic() -> None:
    assert run("import sys; from sleepd.config import places, files; print('pydantic' in sys.modules)") == "False"


def test_the_configuration_needs_nothing_heavy() -> None:
    code = "import sys; from sleepd.config import load; print(sorted({'torch', 'numpy', 'rich', 'structlog', 'click'} & set(sys.modules)))"
    assert run(code) == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    import sleepd.config

    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = sleepd.config.absent  # type: ignore[attr-defined]
