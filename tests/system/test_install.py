"""scripts/install below a folder: what it lays down, that a second run changes nothing, and that it can be undone."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAM = "/usr/bin/sleepd"
EXPECTED = {
    "usr/lib/systemd/system/sleepd.service",
    "usr/lib/systemd/system/sleepd@.service",
    "usr/lib/systemd/system/sleepd-inference.service",
    "usr/lib/systemd/system/sleepd-failure@.service",
    "usr/lib/sysusers.d/sleepd.conf",
    "usr/lib/tmpfiles.d/sleepd.conf",
    "usr/lib/systemd/catalog/sleepd.catalog",
    "usr/lib/sleepd/sleepd.toml",
    "usr/local/bin/sleepd",
}
Install = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(CHECKOUT / "scripts/install"), "--root", str(tmp_path / "image"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, check=False)

    return run


def tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_symlink() or path.is_file()}


def test_everything_that_a_machine_needs_is_laid_down(install: Install, tmp_path: Path) -> None:
    result = install("--program", PROGRAM)
    assert result.returncode == 0, result.stderr
    image = tmp_path / "image"
    assert tree(image) >= EXPECTED
    assert (image / "usr/local/bin/sleepd").readlink() == Path(PROGRAM)
    for unit in image.glob("usr/lib/systemd/system/*.service"):
        assert "/opt/sleepd/bin" not in unit.read_text()
    assert "ExecStart=/usr/bin/sleepd run\n" in (image / "usr/lib/systemd/system/sleepd.service").read_text()
    assert (image / "usr/lib/sleepd/sleepd.toml").stat().st_mode & 0o777 == 0o644
    assert "systemctl enable --now" in result.stdout


def test_the_installed_configuration_has_the_buffer_where_only_the_inference_service_may_write(install: Install, tmp_path: Path) -> None:
    from sleepd.config import load

    install("--program", PROGRAM)
    loaded = load(tmp_path / "image/usr/lib/sleepd/sleepd.toml", None, {"HOME": "/"})
    assert loaded.buffers == [Path("/var/lib/sleepd-inference/experience_buffer.json")] == [loaded.capture_buffer]
    unit = (tmp_path / "image/usr/lib/systemd/system/sleepd-inference.service").read_text()
    assert f"ReadWritePaths={loaded.capture_buffer.parent}\n" in unit


def test_a_second_run_changes_nothing(install: Install, tmp_path: Path) -> None:
    install("--program", PROGRAM)
    before = {path: (tmp_path / "image" / path).lstat().st_mtime_ns for path in tree(tmp_path / "image")}
    again = install("--program", PROGRAM)
    assert again.returncode == 0 and "wrote" not in again.stdout
    assert before == {path: (tmp_path / "image" / path).lstat().st_mtime_ns for path in tree(tmp_path / "image")}


def test_a_dry_run_says_what_it_would_do_and_does_nothing(install: Install, tmp_path: Path) -> None:
    result = install("--program", PROGRAM, "--dry-run")
    assert result.returncode == 0
    assert "would write" in result.stdout and "sleepd.service" in result.stdout
    assert not (tmp_path / "image").exists()


def test_uninstalling_keeps_configuration_and_state(install: Install, tmp_path: Path) -> None:
    image = tmp_path / "image"
    install("--program", PROGRAM)
    kept = {"etc/sleepd/sleepd.toml", "var/lib/sleepd/ledger.db", "var/lib/sleepd-inference/experience_buffer.json"}
    for path in kept:
        (image / path).parent.mkdir(parents=True)
        (image / path).write_text("precious")
    result = install("--program", PROGRAM, "--uninstall")
    assert result.returncode == 0, result.stderr
    assert tree(image) == kept
    assert install("--program", PROGRAM, "--uninstall").returncode == 0


def test_somebody_elses_program_of_the_same_name_is_not_replaced(install: Install, tmp_path: Path) -> None:
    other = tmp_path / "image/usr/local/bin/sleepd"
    other.parent.mkdir(parents=True)
    other.write_text("mine")
    result = install("--program", PROGRAM)
    assert result.returncode == 1 and "remedy:" in result.stderr
    assert other.read_text() == "mine"


def test_somebody_elses_folder_is_not_made_into_an_environment(install: Install, tmp_path: Path) -> None:
    (tmp_path / "image/opt/sleepd").mkdir(parents=True)
    (tmp_path / "image/opt/sleepd/theirs").touch()
    result = install()
    assert result.returncode == 1 and "not made by this script" in result.stderr


@pytest.mark.parametrize("arguments", [["--prefix"], ["--prefix", "relative"], ["--program", "sleepd"], ["--what"]])
def test_a_wrong_argument_is_exit_status_2_with_a_remedy(install: Install, arguments: list[str]) -> None:
    result = install(*arguments)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith("remedy: ")
