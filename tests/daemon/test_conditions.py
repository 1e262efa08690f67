from __future__ import annotations

from pathlib import Path

import pytest

from sleepd.daemon.conditions import Limits, Readings, judge, read

LIMITS = Limits(True, 85.0, 512, 512, 40.0, 5.0)
FINE = Readings(True, 50.0, 4096, 4096, 1.0)


def supply(root: Path, name: str, **files: str) -> None:
    directory = root / "class/power_supply" / name
    directory.mkdir(parents=True)
    for file, text in files.items():
        (directory / file).write_text(text + "\n")


def test_a_machine_without_sensors_passes_and_says_so(tmp_path: Path) -> None:
    checks = judge(read(tmp_path, tmp_path / "sys", tmp_path / "proc"), LIMITS)
    assert {c.name: c.ok for c in checks} == {"power": True, "temperature": True, "memory": True, "disk": True, "pressure": True}
    assert next(c for c in checks if c.name == "power").detail == "no power sensor"


@pytest.mark.parametrize(
    ("supplies", "on_ac"),
    [
        ({"AC": {"type": "Mains", "online": "1"}, "BAT0": {"type": "Battery", "status": "Charging"}}, True),
        ({"AC": {"type": "Mains", "online": "0"}, "BAT0": {"type": "Battery", "status": "Discharging"}}, False),
        ({"BAT0": {"type": "Battery", "status": "Discharging"}}, False),
        ({"BAT0": {"type": "Battery", "status": "Full"}}, True),
        ({"mouse": {"type": "Battery", "scope": "Device", "status": "Discharging"}}, None),
        ({"usbc": {"type": "USB", "online": "1"}, "BAT0": {"type": "Battery", "status": "Not charging"}}, True),
    ],
)
def test_power_is_read_from_chargers_and_batteries(tmp_path: Path, supplies: dict[str, dict[str, str]], on_ac: bool | None) -> None:
    for name, files in supplies.items():
        supply(tmp_path, name, **files)
    (tmp_path / "class/power_supply").mkdir(parents=True, exist_ok=True)
    assert read(tmp_path, tmp_path, tmp_path).on_ac is on_ac


def test_the_hottest_plausible_zone_and_the_kernels_numbers_count(tmp_path: Path) -> None:
    for name, value in {"thermal_zone0": "41000", "thermal_zone1": "63500", "thermal_zone2": "-273000", "thermal_zone3": "rubbish"}.items():
        (tmp_path / "class/thermal" / name).mkdir(parents=True)
        (tmp_path / "class/thermal" / name / "temp").write_text(value)
    (tmp_path / "meminfo").write_text("MemTotal: 8000000 kB\nMemAvailable:    2048000 kB\n")
    (tmp_path / "pressure").mkdir()
    (tmp_path / "pressure/memory").write_text(
        "some avg10=1.00 avg60=12.50 avg300=0.10 total=9\nfull avg10=0.00 avg60=3.00 avg300=0.00 total=1\n"
    )
    found = read(tmp_path, tmp_path, tmp_path)
    assert (found.temperature_c, found.free_memory_mb, found.memory_pressure) == (63.5, 2000, 12.5)
    assert found.free_disk_mb is not None and found.free_disk_mb > 0


@pytest.mark.parametrize(
    ("readings", "name", "detail"),
    [
        (Readings(False, 50.0, 4096, 4096, 1.0), "power", "Running on battery (conditions.require_ac)"),
        (Readings(True, 91.0, 4096, 4096, 1.0), "temperature", "Temperature too high (91.0 °C > 85.0 °C)"),
        (Readings(True, 50.0, 300, 4096, 1.0), "memory", "Too little free memory (300 MB < 512 MB)"),
        (Readings(True, 50.0, 4096, 100, 1.0), "disk", "Too little free disk (100 MB < 512 MB)"),
        (Readings(True, 50.0, 4096, 4096, 55.0), "pressure", "Memory pressure too high (55.0 % > 40.0 %)"),
    ],
)
def test_each_condition_fails_with_its_numbers(readings: Readings, name: str, detail: str) -> None:
    assert all(c.ok for c in judge(FINE, LIMITS))
    assert [(c.name, c.detail) for c in judge(readings, LIMITS) if not c.ok] == [(name, detail)]


def test_what_failed_must_recover_past_its_margin() -> None:
    just_below = Readings(True, 84.0, 520, 4096, 1.0)
    assert all(c.ok for c in judge(just_below, LIMITS))
    still = {c.name for c in judge(just_below, LIMITS, frozenset({"temperature", "memory"})) if not c.ok}
    assert still == {"temperature", "memory"}
    recovered = Readings(True, 80.0, 540, 4096, 1.0)
    assert all(c.ok for c in judge(recovered, LIMITS, frozenset({"temperature", "memory"})))


def test_battery_is_fine_where_the_operator_allows_it() -> None:
    assert judge(Readings(False, None, None, None, None), Limits(False, 85, 1, 1, 40, 5))[0].ok
