"""What a configuration that cannot be used is answered with: file, key, value, reason, and a remedy."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sleepd.config import load
from sleepd.errors import ConfigError
from tests.config.conftest import USER, Machine

ROOT = Path(__file__).parents[2]
CASES = [
    ("[training]\nepoch = 3", "training.epoch = 3: unknown key; did you mean epochs?"),
    ("[schedul]\npreset = 'fleet'", 'schedul = {"preset": "fleet"}: unknown section; did you mean [schedule]?'),
    ("[training]\nkeep = 3", "training.keep = 3: unknown key; did you mean adapters.keep?"),
    ("[log]\nxyzzy = 1", "log.xyzzy = 1: unknown key; [log] has format, level"),
    ("keep = 3", "keep = 3: unknown section; there are model, experience,"),
    ("training = 3", "training = 3: must be a section: write [training] on a line of its own"),
    ("[training]\nepochs = 'three'", 'training.epochs = "three": must be an integer'),
    ("[training]\nepochs = true", "training.epochs = true: must be an integer"),
    ("[training]\nepochs = 3.5", "training.epochs = 3.5: must be an integer"),
    ("[serve]\ncapture = 1", "serve.capture = 1: must be a boolean"),
    ("[serve]\ncapture = 'no'", 'serve.capture = "no": must be a boolean'),
    ("[serve]\nport = 65536", "serve.port = 65536: must be less than or equal to 65535"),
    ("[experience]\nmin_salience = 1.1", "experience.min_salience = 1.1: must be less than or equal to 1"),
    ("[experience]\nmin_salience = nan", "experience.min_salience = NaN: must be a finite number"),
    ("[experience]\nbuffers = '/b.json'", 'experience.buffers = "/b.json": must be a list'),
    ("[experience]\nbuffers = ['/a', 'b.json']", 'experience.buffers[1] = "b.json": must be an absolute path, or start with ~/'),
    ("[model]\npath = 'models/qwen'", 'model.path = "models/qwen": must be an absolute path'),
    ("[training]\nlearning_rate = 0", "training.learning_rate = 0: must be greater than 0"),
    ("[training]\ntarget_modules = []", "training.target_modules = []: must have at least 1 item"),
    ("[training]\ndevice = 'gpu'", "training.device = \"gpu\": must be 'auto', 'cpu' or 'cuda'"),
    ("[schedule]\npreset = 'eager'", "schedule.preset = \"eager\": must be 'recommended', 'conservative', 'aggressive' or 'fleet'"),
    ("[schedule]\nday = '6:00'", 'schedule.day = "6:00": must be a time of day'),
    ("[schedule]\nday = '24:00'", 'schedule.day = "24:00": must be a time of day'),
    ("[schedule]\nday = 06:00:00", "schedule.day = 06:00:00: must be a string"),
    ("[schedule]\ntimezone = 'Mars/Olympus'", 'schedule.timezone = "Mars/Olympus": must be a known time zone'),
    ("[schedule]\ntimezone = '../../etc/passwd'", "must be a known time zone"),
    ("[schedule]\nlatitude = 52.0", "schedule.latitude = 52.0: needs schedule.longitude too"),
    ("[schedule]\nlongitude = 13.0", "schedule.longitude = 13.0: needs schedule.latitude too"),
    ("[schedule]\nlatitude = 91.0\nlongitude = 0.0", "schedule.latitude = 91.0: must be less than or equal to 90"),
    ("[gate]\nmin_length_ratio = 2.0", "gate.min_length_ratio = 2.0: must not exceed gate.max_length_ratio (1.4)"),
    ("[gate]\nmax_entropy_ratio = 0.1", "gate.max_entropy_ratio = 0.1: must not be below gate.min_entropy_ratio (0.5)"),
    ("[adapters]\nkeep = 2", "adapters.keep = 2: must be greater than or equal to 3"),
    ("[inference]\nkind = 'http'", 'inference.kind = "http": needs inference.reload_url, which is empty'),
    ("[inference]\nkind = 'signal'", "needs inference.pid_file"),
    ("[inference]\nkind = 'systemd'", "needs inference.unit"),
    ("[inference]\nkind = 'command'", "needs inference.command"),
    ("[inference]\nkind = 'sleepd'\nurl = ''", "needs inference.url"),
    ("[inference]\nkind = 'vllmm'", 'inference.kind = "vllmm": must be'),
    ("[inference]\nurl = 'localhost:8765'", 'inference.url = "localhost:8765": must begin with http:// or https://'),
    ("[inference]\nsignal = 'SIGKILL'", 'inference.signal = "SIGKILL": must be the name of a signal that a program can catch'),
    ("[inference]\nsignal = 'HUP'", 'inference.signal = "HUP": must be the name of a signal'),
    ("[inference]\nunit = 'llama'", 'inference.unit = "llama": must be the name of a unit'),
    ("[inference]\ncommand = ['', 'x']", "inference.command = "),
    ("[log]\nlevel = 'loud'", "log.level = \"loud\": must be 'debug', 'info', 'warning' or 'error'"),
    ("[control]\nmax_request_bytes = 10", "control.max_request_bytes = 10: must be greater than or equal to 1024"),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[case[0].replace("\n", " ") for case in CASES])
def test_a_wrong_value_is_named_with_its_file_and_reason(machine: Machine, text: str, expected: str) -> None:
    file = machine.write("etc/sleepd.toml", text)
    with pytest.raises(ConfigError) as caught:
        machine.load()
    assert caught.value.message.startswith(f"{file}: ")
    assert expected in caught.value.message
    assert "\n" not in caught.value.message
    assert caught.value.remedy and "\n" not in caught.value.remedy
    assert caught.value.exit_code == 2


def test_everything_wrong_is_told_at_once_and_grouped_by_file(machine: Machine) -> None:
    main = machine.write("etc/sleepd.toml", "[log]\nlevel = 'loud'\nlevl = 'x'\n[training]\nepochs = 0")
    drop_in = machine.write("etc/sleepd.toml.d/10-a.toml", "[training]\nthreads = -1")
    with pytest.raises(ConfigError) as caught:
        machine.load()
    lines = caught.value.message.splitlines()
    assert [line.split(": ")[0] for line in lines] == [str(main)] * 3 + [str(drop_in)]


def test_a_value_that_a_drop_in_spoils_is_blamed_on_the_drop_in(machine: Machine) -> None:
    machine.write("etc/sleepd.toml", "[training]\nepochs = 3")
    drop_in = machine.write("etc/sleepd.toml.d/10-a.toml", "[training]\nepochs = 'x'")
    with pytest.raises(ConfigError, match=f"^{drop_in}: training.epochs"):
        machine.load()


def test_a_drop_in_can_mend_what_the_main_file_has_wrong(machine: Machine) -> None:
    machine.write("etc/sleepd.toml", "[training]\nepochs = 0")
    machine.write("etc/sleepd.toml.d/10-a.toml", "[training]\nepochs = 3")
    assert machine.load().config.training.epochs == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[log\nlevel = 1", "line 1"),
        (b"[log]\nlevel = info", "line 2"),
        (b"[log]\nlevel = 'a'\nlevel = 'b'\n", "line 3"),
        (b"[log]\n[log]\n", "line 2"),
        (b"\xff\xfe[log]", "byte 0 is not UTF-8"),
        (b"[log]\nlevel = '\x00'", "line 2"),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(machine: Machine, content: bytes, reason: str) -> None:
    file = machine.write("etc/sleepd.toml", "")
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as caught:
        machine.load()
    assert str(file) in caught.value.message
    assert caught.value.remedy


def test_a_long_value_is_cut_short(machine: Machine) -> None:
    machine.write("etc/sleepd.toml", f"[log]\nlevel = '{'x' * 5000}'")
    with pytest.raises(ConfigError) as caught:
        machine.load()
    assert len(caught.value.message) < 400


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become a user who may not read the file")
def test_a_file_that_may_not_be_read_is_named() -> None:
    code = (
        "import os, sys; from pathlib import Path; from sleepd.config import load; from sleepd.errors import ConfigError\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: load(Path(sys.argv[1]), None, {})\n"
        "except ConfigError as error: print(error.message, '|', error.remedy)"
    )
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)  # the file is closed, not the way to it
        file = Path(directory) / "c.toml"
        file.touch(mode=0)
        done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT)
    assert f"{file}: Permission denied" in done.stdout, done.stderr
    assert "read access" in done.stdout


def test_a_refused_configuration_leaves_the_loaded_one_untouched(machine: Machine) -> None:
    file = machine.write("etc/sleepd.toml", "[adapters]\nkeep = 9")
    before = machine.load()
    file.write_text("[adapters]\nkeep = 0")
    with pytest.raises(ConfigError):
        load(file, None, {"HOME": "/h"}, machine.search, USER)
    assert before.config.adapters.keep == 9
