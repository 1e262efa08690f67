"""Which files make up the configuration, and in what order."""

from __future__ import annotations

from pathlib import Path

import pytest

from sleepd.config import SearchPath, load
from sleepd.errors import ConfigError
from tests.config.conftest import USER, Machine


def test_it_starts_with_nothing_at_all(machine: Machine) -> None:
    loaded = machine.load()
    assert loaded.files == ()
    assert loaded.config.model.path == ""
    assert set(loaded.origins.values()) == {"default"}


def test_the_main_file_is_the_first_on_the_search_path_and_the_others_are_not_read(machine: Machine) -> None:
    machine.write("usr/sleepd.toml", "[adapters]\nkeep = 7\n[log]\nlevel = 'debug'")
    assert machine.load().config.adapters.keep == 7
    machine.write("run/sleepd.toml", "[adapters]\nkeep = 8")
    first = machine.write("etc/sleepd.toml", "[adapters]\nkeep = 9")
    loaded = machine.load()
    assert loaded.config.adapters.keep == 9
    assert loaded.config.log.level == "info"
    assert loaded.files == (first,)


def test_drop_ins_of_all_directories_are_sorted_by_file_name_whatever_their_directory(machine: Machine) -> None:
    main = machine.write("usr/sleepd.toml", "[adapters]\nkeep = 3")
    late = machine.write("etc/sleepd.toml.d/90-late.toml", "[adapters]\nkeep = 90")
    early = machine.write("usr/sleepd.toml.d/10-early.toml", "[adapters]\nkeep = 10\n[serve]\nport = 10")
    middle = machine.write("run/sleepd.toml.d/50-middle.toml", "[adapters]\nkeep = 50\n[serve]\nport = 50")
    loaded = machine.load()
    assert loaded.files == (main, early, middle, late)
    assert (loaded.config.adapters.keep, loaded.config.serve.port) == (90, 50)


def test_the_same_name_in_a_higher_directory_replaces_the_lower_file_whole(machine: Machine) -> None:
    machine.write("usr/sleepd.toml.d/10-a.toml", "[adapters]\nkeep = 7\n[log]\nlevel = 'debug'")
    higher = machine.write("run/sleepd.toml.d/10-a.toml", "[adapters]\nkeep = 8")
    loaded = machine.load()
    assert (loaded.config.adapters.keep, loaded.config.log.level) == (8, "info")
    assert loaded.files == (higher,)


@pytest.mark.parametrize("how", ["empty", "null"])
def test_an_empty_file_or_a_link_to_dev_null_masks_the_one_below(machine: Machine, how: str) -> None:
    machine.write("usr/sleepd.toml.d/10-a.toml", "[adapters]\nkeep = 7")
    mask = machine.write("etc/sleepd.toml.d/10-a.toml", "")
    if how == "null":
        mask.unlink()
        mask.symlink_to("/dev/null")
    loaded = machine.load()
    assert loaded.config.adapters.keep == 5
    assert loaded.files == ()


def test_other_files_in_a_drop_in_directory_are_left_alone(machine: Machine) -> None:
    for name in ("README", "10-a.toml.example", "10-a.toml~", ".10-a.toml.swp", ".hidden.toml"):
        machine.write(f"etc/sleepd.toml.d/{name}", "no toml")
    assert machine.load().files == ()


def test_a_link_to_nothing_is_an_error_and_not_silence(machine: Machine) -> None:
    broken = machine.write("etc/sleepd.toml.d/10-a.toml", "x")
    broken.unlink()
    broken.symlink_to("gone.toml")
    with pytest.raises(ConfigError, match=str(broken)):
        machine.load()


def test_a_directory_instead_of_a_file_is_named(machine: Machine) -> None:
    machine.write("etc/sleepd.toml.d/10-a.toml/x", "x")
    with pytest.raises(ConfigError, match=r"10-a\.toml: Is a directory"):
        machine.load()


def test_origins_name_the_file_that_set_each_key(machine: Machine) -> None:
    main = machine.write("etc/sleepd.toml", "[schedule]\npreset = 'fleet'\nidle_minutes = 20")
    drop_in = machine.write("run/sleepd.toml.d/10-a.toml", "[schedule]\nidle_minutes = 30")
    loaded = machine.load()
    assert loaded.origins["schedule.preset"] == str(main)
    assert loaded.origins["schedule.idle_minutes"] == str(drop_in)
    assert loaded.origins["schedule.night"] == "default"
    assert list(loaded.origins) == list(loaded.config.flat())


def test_a_named_file_brings_its_own_drop_ins_and_nothing_of_the_search_path(machine: Machine, tmp_path: Path) -> None:
    machine.write("etc/sleepd.toml", "[log]\nlevel = 'debug'")
    machine.write("etc/sleepd.toml.d/10-a.toml", "[log]\nlevel = 'debug'")
    own = tmp_path / "mine.toml"
    own.write_text("[adapters]\nkeep = 4")
    (tmp_path / "mine.toml.d").mkdir()
    drop_in = tmp_path / "mine.toml.d" / "50-more.toml"
    drop_in.write_text("[serve]\nport = 1")
    loaded = load(own, None, {"HOME": "/home/ada"}, machine.search, USER)
    assert loaded.files == (own, drop_in)
    assert (loaded.config.adapters.keep, loaded.config.serve.port, loaded.config.log.level) == (4, 1, "info")


def test_a_named_file_that_does_not_exist_is_an_error(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml does not exist") as caught:
        load(tmp_path / "absent.toml", None, {}, machine.search, USER)
    assert caught.value.exit_code == 2


def test_an_instance_reads_its_own_file_and_drop_ins(machine: Machine) -> None:
    machine.write("etc/sleepd.toml", "[log]\nlevel = 'debug'")
    machine.write("etc/sleepd.toml.d/10-a.toml", "[log]\nlevel = 'debug'")
    own = machine.write("etc/nomad.toml", "[adapters]\nkeep = 4")
    drop_in = machine.write("run/nomad.toml.d/10-a.toml", "[serve]\nport = 1")
    loaded = machine.load("nomad")
    assert loaded.files == (own, drop_in)
    assert loaded.config.log.level == "info"
    assert loaded.instance == "nomad"


def test_an_instance_without_configuration_is_a_typing_mistake(machine: Machine) -> None:
    with pytest.raises(ConfigError, match=r"no nomda\.toml") as caught:
        machine.load("nomda")
    assert str(machine.root / "etc") in caught.value.remedy


@pytest.mark.parametrize("name", ["../etc", "a/b", ".hidden", "sleepd", "", "a b", "-x"])
def test_a_name_that_would_leave_the_directories_is_no_instance(machine: Machine, name: str) -> None:
    with pytest.raises(ConfigError, match=f'instance "{name}"'):
        machine.load(name)


class TestStandardSearchPath:
    SYSTEM = (Path("/etc/sleepd"), Path("/run/sleepd"), Path("/usr/lib/sleepd"))

    def test_root_searches_the_system(self) -> None:
        assert SearchPath.standard({"HOME": "/h", "XDG_CONFIG_HOME": "/h/c"}, 0).directories == self.SYSTEM

    def test_a_user_searches_their_own_directory_first(self) -> None:
        assert SearchPath.standard({"HOME": "/home/ada"}, USER).directories == (Path("/home/ada/.config/sleepd"), *self.SYSTEM)
        assert SearchPath.standard({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}, USER).directories[0] == Path("/c/sleepd")
        assert SearchPath.standard({"XDG_CONFIG_HOME": "relative", "HOME": "/h"}, USER).directories[0] == Path("/h/.config/sleepd")

    def test_systemds_directory_overrules_all(self) -> None:
        assert SearchPath.standard({"CONFIGURATION_DIRECTORY": "/etc/sleepd"}, 0).directories == self.SYSTEM
        assert SearchPath.standard({"CONFIGURATION_DIRECTORY": "/etc/other"}, 0).directories == (Path("/etc/other"), *self.SYSTEM)
