"""The order of system calls, and what is left when one of them fails."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sleepd import durable
from sleepd.errors import StoreError

Work = Callable[[Path], object]
NAMES = ("write", "fsync", "rename", "symlink")


class Recorder:
    """Notes every system call in order, by what it touches, and fails one of them on demand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
        self.root, self.calls = root, list[str]()
        self.fail_at: int | None = None
        self.code = errno.EIO
        for name in NAMES:
            monkeypatch.setattr(durable.operations, name, self._noted(name, getattr(durable.operations, name)))

    def _noted(self, name: str, call: Callable[..., object]) -> Callable[..., object]:
        def noted(*arguments: object) -> object:
            self.calls.append(" ".join([name, *(self._shown(a) for a in arguments[: 1 if name in ("write", "fsync") else 2])]))
            if self.fail_at == len(self.calls) - 1:
                raise OSError(self.code, os.strerror(self.code))
            return call(*arguments)

        return noted

    def _shown(self, argument: object) -> str:
        path = Path(f"/proc/self/fd/{argument}").readlink() if isinstance(argument, int) else Path(str(argument))
        if not path.is_absolute():
            return str(path)
        name = path.relative_to(self.root).as_posix()
        return "temporary" if path.name.startswith(".") and path != self.root else name


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Recorder:
    return Recorder(monkeypatch, tmp_path)


def publish(root: Path) -> None:
    durable.publish_dir(root / "staging" / "new", root / "adapters" / "cycle_001")


def make_staging(root: Path) -> Path:
    staging = root / "staging" / "new"
    (staging / "deeper").mkdir(parents=True)
    (root / "adapters").mkdir()
    (staging / "weights").write_bytes(b"w" * 10)
    (staging / "deeper" / "note").write_text("n")
    return staging


class TestOrder:
    def test_a_file_is_durable_before_it_is_renamed_and_its_name_after(self, tmp_path: Path, recorder: Recorder) -> None:
        durable.write_atomic(tmp_path / "state", "new")
        assert recorder.calls == ["write temporary", "fsync temporary", "rename temporary state", "fsync ."]
        assert (tmp_path / "state").read_text() == "new"

    def test_a_directory_is_durable_from_the_inside_out_before_it_is_renamed(self, tmp_path: Path, recorder: Recorder) -> None:
        make_staging(tmp_path)
        publish(tmp_path)
        assert recorder.calls == [
            "fsync staging/new/deeper/note",
            "fsync staging/new/deeper",
            "fsync staging/new/weights",
            "fsync staging/new",
            "rename staging/new adapters/cycle_001",
            "fsync adapters",
            "fsync staging",
        ]

    def test_a_link_is_swapped_by_one_rename(self, tmp_path: Path, recorder: Recorder) -> None:
        (tmp_path / "active").symlink_to("cycle_001")
        durable.swap_symlink(tmp_path / "active", "cycle_002")
        assert recorder.calls == ["symlink cycle_002 temporary", "rename temporary active", "fsync ."]
        assert (tmp_path / "active").readlink() == Path("cycle_002")

    def test_a_directory_leaves_its_name_durably_before_its_content_goes(self, tmp_path: Path, recorder: Recorder) -> None:
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / "file").write_text("x")
        durable.remove_dir(tmp_path / "old")
        assert recorder.calls == ["rename old temporary", "fsync ."]
        assert list(tmp_path.iterdir()) == []

    def test_a_link_is_removed_durably_and_a_missing_one_is_fine(self, tmp_path: Path, recorder: Recorder) -> None:
        (tmp_path / "active").symlink_to("cycle_001")
        durable.remove_symlink(tmp_path / "active")
        durable.remove_symlink(tmp_path / "active")
        durable.remove_dir(tmp_path / "absent")
        assert recorder.calls == ["fsync .", "fsync ."]
        assert not (tmp_path / "active").is_symlink()


class TestFailures:
    @pytest.mark.parametrize(
        ("code", "remedy"),
        [
            (errno.ENOSPC, "free some space"),
            (errno.EIO, "check the disk"),
            (errno.EROFS, "read-write"),
            (errno.EDQUOT, "quota"),
            (errno.EACCES, "write access"),
            (errno.ENAMETOOLONG, "check"),
        ],
    )
    def test_an_error_names_the_file_and_a_remedy_that_fits(self, tmp_path: Path, recorder: Recorder, code: int, remedy: str) -> None:
        recorder.fail_at, recorder.code = 0, code
        with pytest.raises(StoreError) as caught:
            durable.write_atomic(tmp_path / "state", "new")
        assert str(tmp_path / "state") in caught.value.message
        assert os.strerror(code) in caught.value.message
        assert remedy in caught.value.remedy

    @pytest.mark.parametrize("at", range(3))
    def test_a_file_keeps_its_old_content_until_the_rename_and_leaves_nothing_behind(
        self, tmp_path: Path, recorder: Recorder, at: int
    ) -> None:
        (tmp_path / "state").write_text("old")
        recorder.fail_at, recorder.code = at, errno.ENOSPC
        with pytest.raises(StoreError):
            durable.write_atomic(tmp_path / "state", "new")
        assert [f.name for f in tmp_path.iterdir()] == ["state"]
        assert (tmp_path / "state").read_text() == "old"

    def test_a_name_that_cannot_be_made_durable_fails_the_step_and_the_content_is_whole(self, tmp_path: Path, recorder: Recorder) -> None:
        (tmp_path / "state").write_text("old")
        recorder.fail_at = 3
        with pytest.raises(StoreError, match="state"):
            durable.write_atomic(tmp_path / "state", "new")
        assert (tmp_path / "state").read_text() == "new"

    def test_a_missing_directory_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(StoreError, match="absent/state"):
            durable.write_atomic(tmp_path / "absent" / "state", "new")

    def test_a_write_that_takes_only_a_part_is_continued(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(durable.operations, "write", lambda descriptor, data: os.write(descriptor, data[:3]))
        durable.write_atomic(tmp_path / "state", "a longer text than three")
        assert (tmp_path / "state").read_text() == "a longer text than three"

    @pytest.mark.parametrize("at", range(7))
    def test_a_directory_is_published_whole_or_stays_in_staging(self, tmp_path: Path, recorder: Recorder, at: int) -> None:
        make_staging(tmp_path)
        recorder.fail_at = at
        with pytest.raises(StoreError, match="cycle_001"):
            publish(tmp_path)
        here, there = tmp_path / "staging" / "new", tmp_path / "adapters" / "cycle_001"
        assert here.exists() == (at <= 4)
        assert there.exists() == (at > 4)
        whole = here if here.exists() else there
        assert sorted(f.relative_to(whole).as_posix() for f in whole.rglob("*")) == ["deeper", "deeper/note", "weights"]

    @pytest.mark.parametrize("at", range(3))
    def test_a_link_points_to_the_old_or_the_new_and_nothing_is_left_over(self, tmp_path: Path, recorder: Recorder, at: int) -> None:
        link = tmp_path / "active"
        link.symlink_to("cycle_001")
        recorder.fail_at = at
        with pytest.raises(StoreError, match="active"):
            durable.swap_symlink(link, "cycle_002")
        assert link.readlink() == Path("cycle_002" if at == 2 else "cycle_001")
        assert list(tmp_path.iterdir()) == [link]

    @pytest.mark.parametrize("at", range(2))
    def test_a_directory_that_cannot_be_removed_is_whole_under_one_name(self, tmp_path: Path, recorder: Recorder, at: int) -> None:
        (tmp_path / "old").mkdir()
        (tmp_path / "old" / "file").write_text("x")
        recorder.fail_at = at
        with pytest.raises(StoreError, match="old"):
            durable.remove_dir(tmp_path / "old")
        (left,) = tmp_path.iterdir()
        assert (left / "file").read_text() == "x"
        assert (left.name == "old") == (at == 0)

    def test_a_link_that_cannot_be_removed_durably_is_an_error(self, tmp_path: Path, recorder: Recorder) -> None:
        (tmp_path / "active").symlink_to("cycle_001")
        recorder.fail_at = 0
        with pytest.raises(StoreError, match="active"):
            durable.remove_symlink(tmp_path / "active")


class TestPublishing:
    def test_a_published_directory_is_never_replaced(self, tmp_path: Path) -> None:
        staging = make_staging(tmp_path)
        (tmp_path / "adapters" / "cycle_001").mkdir()
        with pytest.raises(StoreError, match="exists already"):
            publish(tmp_path)
        assert (staging / "weights").exists()

    def test_the_group_may_read_what_is_published_and_others_may_not(self, tmp_path: Path) -> None:
        staging = make_staging(tmp_path)
        (staging / "weights").chmod(0o600)
        staging.chmod(0o700)
        publish(tmp_path)
        target = tmp_path / "adapters" / "cycle_001"
        assert stat.S_IMODE((target / "weights").stat().st_mode) == 0o640
        assert {stat.S_IMODE(d.stat().st_mode) for d in (target, target / "deeper")} == {0o750}

    def test_a_file_gets_the_mode_that_was_asked_for(self, tmp_path: Path) -> None:
        durable.write_atomic(tmp_path / "shared", "x")
        durable.write_atomic(tmp_path / "secret", b"x", mode=0o600)
        assert [stat.S_IMODE((tmp_path / n).stat().st_mode) for n in ("shared", "secret")] == [0o640, 0o600]


class TestConcurrency:
    def test_a_reader_never_sees_a_mixture_or_nothing(self, tmp_path: Path) -> None:
        file, done, torn = tmp_path / "state", threading.Event(), list[int]()
        durable.write_atomic(file, "0" * 10_000)

        def read() -> None:
            while not done.is_set():
                text = file.read_text()
                if len(text) != 10_000 or len(set(text)) != 1:
                    torn.append(len(text))

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(200):
            durable.write_atomic(file, str(number % 10) * 10_000)
        done.set()
        reader.join(10)
        assert torn == []

    def test_a_reader_always_finds_the_link(self, tmp_path: Path) -> None:
        link, done, missing = tmp_path / "active", threading.Event(), list[str]()
        durable.swap_symlink(link, "cycle_000")

        def read() -> None:
            while not done.is_set():
                try:
                    link.readlink()
                except OSError as error:
                    missing.append(str(error))

        reader = threading.Thread(target=read)
        reader.start()
        for number in range(300):
            durable.swap_symlink(link, f"cycle_{number:03d}")
        done.set()
        reader.join(10)
        assert missing == []

    def test_a_process_killed_before_the_rename_leaves_the_old_file(self, tmp_path: Path) -> None:
        (tmp_path / "state").write_text("old")
        code = (
            "import os, signal, sys; from pathlib import Path; from sleepd import durable\n"
            "durable.operations.rename = lambda a, b: os.kill(os.getpid(), signal.SIGKILL)\n"
            "durable.write_atomic(Path(sys.argv[1]), 'new')\n"
        )
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "state")], timeout=60, check=False, cwd=Path(__file__).parents[1])
        assert done.returncode == -9
        assert (tmp_path / "state").read_text() == "old"
        durable.write_atomic(tmp_path / "state", "new")
        assert (tmp_path / "state").read_text() == "new"


def test_json_is_readable_and_stable(tmp_path: Path) -> None:
    durable.write_json(tmp_path / "a", {"b": "ü", "a": [1]})
    assert json.loads((tmp_path / "a").read_text()) == {"a": [1], "b": "ü"}
    assert (tmp_path / "a").read_text() == '{\n  "a": [\n    1\n  ],\n  "b": "ü"\n}\n'


def test_the_hash_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 1_000_000)
    assert durable.sha256_file(tmp_path / "f") == hashlib.sha256(b"x" * 1_000_000).hexdigest()
