"""The supervisor with real processes: limits, environment, progress, exits, signals, orphans."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sleepd.daemon.events import ChildExited, ChildFailed, ChildProgress
from sleepd.daemon.supervisor import (
    MAX_LINE_BYTES,
    Child,
    ChildEvent,
    ChildSettings,
    Supervisor,
    child_environment,
    default_trainer,
    describe_exit,
    end_orphan,
    parse_progress,
)

SETTINGS = ChildSettings(python="", device="cpu", threads=2, nice=7, memory_max_mb=0)
PATIENCE = 20.0


class Watch:
    """A supervisor over a Python one-liner, with what it heard."""

    def __init__(self, job_dir: Path) -> None:
        self.job_dir = job_dir
        self.events: queue.SimpleQueue[ChildEvent] = queue.SimpleQueue()
        self.lines: list[tuple[int, str]] = []
        self.children: list[Child] = []

    def start(self, code: str, settings: ChildSettings = SETTINGS) -> Child:
        supervisor = Supervisor(
            self.events.put, lambda cycle, line: self.lines.append((cycle, line)), lambda s, job: [sys.executable, "-c", code]
        )
        child = supervisor.launch(self.job_dir, 7, settings)
        self.children.append(child)
        return child

    def until_exit(self) -> tuple[list[ChildEvent], int]:
        events: list[ChildEvent] = []
        while True:
            event = self.events.get(timeout=PATIENCE)
            if isinstance(event, ChildExited):
                return events, event.status
            events.append(event)


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    watch = Watch(tmp_path)
    yield watch
    for child in watch.children:
        child.kill()


def test_progress_and_text_arrive_with_the_cycles_number_and_then_the_exit(watch: Watch) -> None:
    watch.start('import sys; print(\'{"stage":"train","percent":40,"loss":1.5}\'); print(\'hello\'); print(\'oh\', file=sys.stderr)')
    events, status = watch.until_exit()
    assert status == 0
    assert [e.progress.percent for e in events if isinstance(e, ChildProgress)] == [40.0]
    assert sorted(watch.lines) == [(7, "hello"), (7, "oh")]


def test_the_child_gets_its_limits_before_it_begins(watch: Watch) -> None:
    code = """
import json, os, pathlib, resource
group = pathlib.Path("/proc/self/autogroup")
print(json.dumps({"nice": os.nice(0), "oom": int(open("/proc/self/oom_score_adj").read()),
                  "data": resource.getrlimit(resource.RLIMIT_DATA)[0], "leader": os.getsid(0) == os.getpid(),
                  "group": int(group.read_text().split()[-1]) if group.exists() else 7,
                  "io": os.popen("ionice -p %d 2>/dev/null" % os.getpid()).read().strip()}))
"""
    watch.start(code, ChildSettings("", "cpu", 0, 7, 900))
    watch.until_exit()
    found = json.loads(watch.lines[0][1])
    assert (found["nice"], found["oom"], found["leader"]) == (max(7, os.nice(0)), 800, True)
    assert found["data"] == 900 * 1024 * 1024
    assert found["group"] == 7  # its session's, where the kernel shares out the processor by sessions
    assert found["io"] in ("idle", "")  # "": no ionice here to ask


def test_a_child_beyond_its_memory_fails_alone(watch: Watch) -> None:
    watch.start("x = bytearray(800 * 1024 * 1024)", ChildSettings("", "cpu", 0, 0, 300))
    assert watch.until_exit()[1] == 1
    assert any("MemoryError" in line for _, line in watch.lines)


def test_what_is_between_systemd_and_us_is_not_the_childs(tmp_path: Path) -> None:
    ours = {
        "NOTIFY_SOCKET": "/x",
        "WATCHDOG_USEC": "1",
        "LISTEN_FDS": "3",
        "JOURNAL_STREAM": "1:2",
        "HOME": "/h",
        "CUDA_VISIBLE_DEVICES": "0",
    }
    child = child_environment(ours, SETTINGS)
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "LISTEN_FDS", "JOURNAL_STREAM"} & child.keys()
    assert (child["HOME"], child["CUDA_VISIBLE_DEVICES"], child["TOKENIZERS_PARALLELISM"], child["OMP_NUM_THREADS"]) == (
        "/h",
        "",
        "false",
        "2",
    )
    on_gpu = child_environment(ours, ChildSettings("/other/python", "auto", 0, 19, 0))
    assert on_gpu["CUDA_VISIBLE_DEVICES"] == "0" and "OMP_NUM_THREADS" not in on_gpu
    assert "PYTHONPATH" not in on_gpu  # another environment has its own packages
    assert default_trainer(SETTINGS, tmp_path) == [sys.executable, "-m", "sleepd.night", str(tmp_path)]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "{",
        "[1]",
        "null",
        "7",
        '{"stage":3}',
        '{"stage":"train"}',
        '{"stage":"train","percent":"x"}',
        '{"stage":"train","percent":NaN}',
    ],
)
def test_rubbish_on_the_pipe_is_no_progress(line: str) -> None:
    assert parse_progress(1, line) is None


def test_the_childs_own_last_words_are_kept() -> None:
    assert parse_progress(3, '{"stage":"error","message":"no room","remedy":"free some"}') == ChildFailed(3, "no room", "free some")


def test_a_percentage_beyond_its_bounds_is_bounded() -> None:
    event = parse_progress(1, '{"stage":"train","percent":180,"step":2.0,"loss":null}')
    assert isinstance(event, ChildProgress) and event.progress.percent == 100 and event.progress.step == 2 and event.progress.loss is None


def test_endless_lines_do_not_fill_our_memory(watch: Watch) -> None:
    watch.start("import sys; sys.stdout.write('y' * 3_000_000); sys.stdout.write('\\nend\\n')")
    watch.until_exit()
    first, second = (line for _, line in watch.lines)
    assert len(first) < MAX_LINE_BYTES + 20 and first.endswith("(cut)") and second == "end"


def test_sigterm_reaches_the_child_and_its_exit_is_told(watch: Watch) -> None:
    child = watch.start(
        "import signal, sys; signal.signal(15, lambda *a: sys.exit(75))\n"
        'print(\'{"stage":"train","percent":1}\', flush=True); signal.pause()'
    )
    assert isinstance(watch.events.get(timeout=PATIENCE), ChildProgress)
    child.stop()
    assert watch.until_exit()[1] == 75


def test_sigkill_ends_the_whole_group(watch: Watch) -> None:
    code = (
        "import os, signal, subprocess, sys\n"
        "p = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])\n"
        "print(p.pid, flush=True); signal.signal(15, signal.SIG_IGN)\n"
        'print(\'{"stage":"train","percent":1}\', flush=True); signal.pause()'
    )
    child = watch.start(code)
    assert isinstance(watch.events.get(timeout=PATIENCE), ChildProgress)
    child.kill()
    assert watch.until_exit()[1] == -signal.SIGKILL
    assert eventually(lambda: gone(int(watch.lines[0][1])))


def test_a_grandchild_that_keeps_the_pipe_open_does_not_hide_the_exit(watch: Watch) -> None:
    watch.start("import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])")
    assert watch.until_exit()[1] == 0


def test_a_signal_after_the_end_is_not_sent_to_a_stranger(watch: Watch) -> None:
    child = watch.start("pass")
    watch.until_exit()
    child.stop()
    child.kill()


def test_a_trainer_that_does_not_exist_is_a_bad_job_with_its_name(watch: Watch) -> None:
    supervisor = Supervisor(watch.events.put, lambda cycle, line: None, lambda s, job: ["/no/such/python", "-m", "x"])
    supervisor.launch(watch.job_dir, 1, SETTINGS)
    events, status = watch.until_exit()
    assert status == 3
    assert [e.message for e in events if isinstance(e, ChildFailed)] == ["cannot start /no/such/python: No such file or directory"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (3, "refused the job"),
        (4, "nothing to learn"),
        (5, "out of memory"),
        (75, "checkpoint"),
        (-11, "SIGSEGV"),
        (-9, "SIGKILL"),
        (1, "exit 1"),
        (-250, "signal 250"),
    ],
)
def test_an_exit_is_told_in_words(status: int, words: str) -> None:
    assert words in describe_exit(status)[0]


def test_a_child_that_outlived_its_daemon_is_ended_and_a_stranger_is_not(tmp_path: Path) -> None:
    orphan = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
    stat = Path(f"/proc/{orphan.pid}/stat").read_text().rpartition(")")[2].split()
    (tmp_path / "child.json").write_text(json.dumps({"pid": orphan.pid, "started": "1"}))
    assert end_orphan(tmp_path, 5) is False and orphan.poll() is None
    (tmp_path / "child.json").write_text(json.dumps({"pid": orphan.pid, "started": stat[19]}))
    assert end_orphan(tmp_path, 5) is True
    assert orphan.wait(PATIENCE) == -signal.SIGTERM


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}'])
def test_a_damaged_note_of_a_child_ends_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / "child.json").write_text(content)
    assert end_orphan(tmp_path, 1) is False


def test_a_child_dies_with_the_daemon_that_was_killed(tmp_path: Path) -> None:
    code = f"""
import sys, threading
from pathlib import Path
from sleepd.daemon.supervisor import ChildSettings, Supervisor
ready = threading.Event()
trainer = "print('{{\\"stage\\":\\"train\\",\\"percent\\":1}}', flush=True); import signal; signal.pause()"
s = Supervisor(lambda e: ready.set(), lambda c, l: None, lambda s, j: [sys.executable, "-c", trainer])
child = s.launch(Path({str(tmp_path)!r}), 1, ChildSettings("", "cpu", 0, 0, 0))
ready.wait(20)
print(child.pid, flush=True)
import signal; signal.pause()
"""
    daemon = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert daemon.stdout is not None
    pid = int(daemon.stdout.readline())
    daemon.kill()
    daemon.wait(PATIENCE)
    daemon.stdout.close()
    assert eventually(lambda: gone(pid))


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def eventually(condition: Callable[[], bool]) -> bool:
    """Wait on a file descriptor that never becomes ready, in small steps, until the deadline."""
    import select
    import time

    end = time.monotonic() + PATIENCE
    read, write = os.pipe()
    try:
        while time.monotonic() < end:
            if condition():
                return True
            select.select([read], [], [], 0.02)
    finally:
        os.close(read)
        os.close(write)
    return False
