"""Which phase of the day it is, and when the next one begins. Pure: (now, clock) in, phase out.

Every boundary is an instant, not a reading of the wall clock: a boundary in an hour that a DST change
skips falls on the change itself, one in an hour that comes twice falls on the first. So a phase is
entered exactly once a day and the order never flips. By the sun: DAY from sunrise to sunset, DEEP_NIGHT
from the middle of the night; where the sun neither rises nor sets within a day, the wall clock decides.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sleepd.errors import ConfigError
from sleepd.records import Phase

_ORDER: tuple[Phase, ...] = ("DAY", "NIGHT", "DEEP_NIGHT")


@dataclass(frozen=True)
class Clock:
    """When the phases begin, in local time, and optionally where the sun is to be watched from."""

    day: time
    night: time
    deep_night: time
    zone: tzinfo
    place: tuple[float, float] | None = None


@dataclass(frozen=True)
class PhaseNow:
    """The phase, and the next one with its instant (UTC); both None when the phase never changes."""

    phase: Phase
    next_phase: Phase | None
    next_change: datetime | None


def make_clock(day: str, night: str, deep_night: str, timezone: str, latitude: float | None, longitude: float | None) -> Clock:
    """A clock from configured values. Raises ConfigError for an unknown zone or a missing astral."""
    place = None
    if latitude is not None and longitude is not None:
        try:
            import astral.sun  # noqa: F401  (optional: only who lives by the sun needs it)
        except ImportError as error:
            raise ConfigError(
                f"schedule.latitude = {latitude} needs the package astral, which is not installed",
                "install sleepd[sun], or remove schedule.latitude and schedule.longitude",
            ) from error
        place = (latitude, longitude)
    return Clock(time.fromisoformat(day), time.fromisoformat(night), time.fromisoformat(deep_night), _zone(timezone), place)


def phase_at(now: datetime, clock: Clock) -> PhaseNow:
    """The phase at an aware instant."""
    if now.tzinfo is None:
        raise ValueError("now must be an aware datetime")
    instant = now.astimezone(UTC)
    if clock.place is not None:
        by_sun = _by_sun(instant, clock)
        if by_sun is not None:
            return by_sun
    return _by_wall(instant, clock)


def _zone(name: str) -> tzinfo:
    if name:
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ConfigError(
                f'schedule.timezone = "{name}" is no known time zone', 'use a name such as "Europe/Berlin", or "" for the system\'s'
            ) from error
    return system_zone(os.environ.get("TZ", ""), Path("/etc"))


def system_zone(tz_variable: str, etc: Path) -> tzinfo:
    """The machine's zone with its DST rules: $TZ, /etc/localtime, /etc/timezone, else UTC."""
    candidates = [tz_variable.removeprefix(":")]
    link = etc / "localtime"
    if link.is_symlink():
        target = str(link.resolve())
        candidates.append(target.split("/zoneinfo/", 1)[-1] if "/zoneinfo/" in target else "")
    name_file = etc / "timezone"
    if name_file.is_file():
        candidates.append(name_file.read_text(encoding="utf-8").strip())
    for name in candidates:
        if not name:
            continue
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue  # the next source may know better; UTC is the last resort
    if link.is_file():
        with link.open("rb") as handle:
            return ZoneInfo.from_file(handle, key="localtime")
    return UTC


def local_instant(day: date, at: time, zone: tzinfo) -> datetime:
    """The UTC instant at which a local clock first shows, or jumps over, this time of this day."""
    wall = datetime.combine(day, at, tzinfo=zone)
    instant = wall.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return instant
    # The clock jumped over it. Search the jump between the readings with the offsets after and before it.
    low, high = wall.replace(fold=1).astimezone(UTC), instant
    before = low.astimezone(zone).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + (high - low) / 2
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high.replace(microsecond=0)


def _by_wall(instant: datetime, clock: Clock) -> PhaseNow:
    today = instant.astimezone(clock.zone).date()
    starts: dict[Phase, time] = {"DAY": clock.day, "NIGHT": clock.night, "DEEP_NIGHT": clock.deep_night}
    changes: dict[datetime, Phase] = {}
    for offset in range(-2, 4):
        try:
            day = today + timedelta(days=offset)
        except OverflowError:
            continue
        for phase in _ORDER:  # where two begin together the later in this order wins
            changes[local_instant(day, starts[phase], clock.zone)] = phase
    ordered = sorted(changes.items())
    phase = next(name for at, name in reversed(ordered) if at <= instant)
    for at, name in ordered:
        if at > instant and name != phase:
            return PhaseNow(phase, name, at)
    return PhaseNow(phase, None, None)


def _by_sun(instant: datetime, clock: Clock) -> PhaseNow | None:
    """None when the sun does not both rise and set around now."""
    events = _sun_events(instant, clock)
    past = [event for event in events if event[0] <= instant]
    future = [event for event in events if event[0] > instant]
    if not past or not future or past[-1][1] == future[0][1]:
        return None
    (began, was_rise), (ends, _) = past[-1], future[0]
    if ends - began >= timedelta(days=1):
        return None
    if was_rise:
        return PhaseNow("DAY", "NIGHT", ends)
    middle = began + (ends - began) / 2
    if instant < middle:
        return PhaseNow("NIGHT", "DEEP_NIGHT", middle)
    return PhaseNow("DEEP_NIGHT", "DAY", ends)


def _sun_events(instant: datetime, clock: Clock) -> list[tuple[datetime, bool]]:
    """(instant, is a sunrise) of the days around, sorted."""
    import astral
    import astral.sun

    assert clock.place is not None
    observer = astral.Observer(*clock.place)
    events: set[tuple[datetime, bool]] = set()
    for offset in range(-2, 3):
        day = instant.date() + timedelta(days=offset)
        for rise, function in ((True, astral.sun.sunrise), (False, astral.sun.sunset)):
            try:
                events.add((function(observer, day, tzinfo=UTC).replace(microsecond=0), rise))
            except ValueError:
                continue  # astral's way to say that it does not happen on this day
    return sorted(events)
