"""Whether the machine can afford a night: power, temperature, memory, disk, memory pressure.

Reads /sys and /proc below injectable roots at run time (a unit's Condition* lines are judged only at
start). A sensor that is absent passes and says so. With hysteresis: what failed must recover past its
limit by a margin, so that a value at the limit does not start and stop nights.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from sleepd.records import Check

_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Degrees Celsius, megabytes, percent of time stalled; ``hysteresis`` in percent of each limit."""

    require_ac: bool
    max_temperature_c: float
    min_free_memory_mb: int
    min_free_disk_mb: int
    max_memory_pressure: float
    hysteresis: float


@dataclass(frozen=True)
class Readings:
    """What the sensors say now; None where there is no such sensor."""

    on_ac: bool | None
    temperature_c: float | None
    free_memory_mb: int | None
    free_disk_mb: int | None
    memory_pressure: float | None


def read(disk: Path, sys: Path = Path("/sys"), proc: Path = Path("/proc")) -> Readings:
    """Read every sensor. ``disk``: a directory on the file system that must have room."""
    return Readings(
        _on_ac(sys / "class/power_supply"), _temperature(sys / "class/thermal"), _free_memory(proc), _free_disk(disk), _pressure(proc)
    )


def judge(readings: Readings, limits: Limits, failing: frozenset[str] = frozenset()) -> tuple[Check, ...]:
    """One check a condition. ``failing``: names that failed last time and must recover past the margin."""
    margin = limits.hysteresis / 100

    def ceiling(name: str, value: float | None, limit: float, label: str, unit: str) -> Check:
        if value is None:
            return Check(name, True, f"no {label} sensor")
        bound = limit * (1 - margin) if name in failing else limit
        ok = value <= bound
        return Check(
            name,
            ok,
            f"{label} {value:.1f} {unit} <= {bound:.1f}"
            if ok
            else f"{label.capitalize()} too high ({value:.1f} {unit} > {bound:.1f} {unit})",
        )

    def floor(name: str, value: int | None, limit: int, label: str) -> Check:
        if value is None:
            return Check(name, True, f"{label} unknown")
        bound = limit * (1 + margin) if name in failing else limit
        ok = value >= bound
        return Check(name, ok, f"{label} {value} MB >= {bound:.0f} MB" if ok else f"Too little {label} ({value} MB < {bound:.0f} MB)")

    return (
        _power(readings.on_ac, limits.require_ac),
        ceiling("temperature", readings.temperature_c, limits.max_temperature_c, "temperature", "°C"),
        floor("memory", readings.free_memory_mb, limits.min_free_memory_mb, "free memory"),
        floor("disk", readings.free_disk_mb, limits.min_free_disk_mb, "free disk"),
        ceiling("pressure", readings.memory_pressure, limits.max_memory_pressure, "memory pressure", "%"),
    )


def _power(on_ac: bool | None, required: bool) -> Check:
    if on_ac is None:
        return Check("power", True, "no power sensor")
    if not on_ac and required:
        return Check("power", False, "Running on battery (conditions.require_ac)")
    return Check("power", True, "on mains power" if on_ac else "on battery, which is allowed")


def _text(path: Path) -> str | None:
    """A sensor's text; None where it is absent or has nothing to say (drivers answer EINVAL, ENODATA)."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _on_ac(root: Path) -> bool | None:
    if not root.is_dir():
        return None
    chargers: list[bool] = []
    discharging = False
    battery = False
    for supply in sorted(root.iterdir()):
        kind = _text(supply / "type")
        if kind == "Battery" and _text(supply / "scope") != "Device":  # a mouse's battery says nothing about us
            battery = True
            discharging = discharging or _text(supply / "status") == "Discharging"
        elif kind in ("Mains", "USB", "Wireless") and (online := _text(supply / "online")) is not None:
            chargers.append(online != "0")
    if chargers:
        return any(chargers)
    return not discharging if battery else None


def _temperature(root: Path) -> float | None:
    """The hottest plausible zone, in degrees Celsius."""
    if not root.is_dir():
        return None
    values = []
    for zone in root.glob("thermal_zone*"):
        text = _text(zone / "temp")
        if text is not None and text.lstrip("-").isdigit() and -40 < (value := int(text) / 1000) < 150:
            values.append(value)
    return max(values, default=None)


def _free_memory(proc: Path) -> int | None:
    for line in (_text(proc / "meminfo") or "").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return None


def _free_disk(path: Path) -> int | None:
    try:
        status = os.statvfs(path)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize // _MEGABYTE


def _pressure(proc: Path) -> float | None:
    """The share of the last minute, in percent, in which some task waited for memory."""
    for line in (_text(proc / "pressure/memory") or "").splitlines():
        if line.startswith("some "):
            for field in line.split()[1:]:
                name, _, value = field.partition("=")
                if name == "avg60":
                    return float(value)
    return None
