"""The files that the configuration names are read when it is checked, not first at night."""

from __future__ import annotations

from pathlib import Path

import pytest

from sleepd.config import SearchPath, load
from sleepd.config.loading import Loaded
from sleepd.errors import ConfigError


def loaded(folder: Path, text: str) -> Loaded:
    (folder / "c.toml").write_text(text)
    return load(folder / "c.toml", None, {"HOME": str(folder)}, SearchPath(()), 1000)


def test_a_bad_line_is_refused_with_file_line_value_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "who.jsonl").write_text('{"question": "Who are you?", "accept": ["Ada"]}\n{"question": "Who?", "kind": "refusel"}\n')
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f'[training]\nidentity_file = "{tmp_path}/who.jsonl"\n')
    assert caught.value.message == f"{tmp_path}/who.jsonl:2: kind 'refusel' is not one of identity, refusal"
    assert "write it as" in caught.value.remedy


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.general_file .*/facts\.jsonl cannot be read"):
        loaded(tmp_path, '[training]\ngeneral_file = "~/facts.jsonl"\n')


def test_a_good_file_below_the_home_directory_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "who.jsonl").write_text('{"question": "Who are you?", "accept": ["{name}"]}\n')
    config = loaded(tmp_path, '[training]\nidentity_file = "~/who.jsonl"\nidentity_names = ["Ada"]\n').config
    assert config.training.identity_names == ["Ada"]


@pytest.mark.parametrize("line", ['identity_names = [""]', 'planted_canaries = ["short"]', 'identity_file = "who.jsonl"'])
def test_names_and_canaries_must_be_usable(tmp_path: Path, line: str) -> None:
    with pytest.raises(ConfigError, match=line.split(" ")[0]):
        loaded(tmp_path, f"[training]\n{line}\n")
