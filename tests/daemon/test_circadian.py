from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleepd.daemon.circadian import Clock, local_instant, make_clock, phase_at, system_zone
from sleepd.errors import ConfigError

BERLIN = ZoneInfo("Europe/Berlin")
USUAL = Clock(time(6), time(22), time(2), BERLIN)
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "Africa/Cairo"]
)
TIMES = st.times().map(lambda t: t.replace(second=0, microsecond=0, tzinfo=None))
INSTANTS = st.datetimes(datetime(1975, 1, 1), datetime(2036, 1, 1)).map(lambda d: d.replace(tzinfo=UTC))


def berlin(text: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold)


@pytest.mark.parametrize(
    ("local", "phase", "following", "change"),
    [
        ("2026-01-10 05:59", "DEEP_NIGHT", "DAY", "2026-01-10 06:00"),
        ("2026-01-10 06:00", "DAY", "NIGHT", "2026-01-10 22:00"),
        ("2026-01-10 23:30", "NIGHT", "DEEP_NIGHT", "2026-01-11 02:00"),
        ("2026-01-11 02:00", "DEEP_NIGHT", "DAY", "2026-01-11 06:00"),
    ],
)
def test_the_wall_clock_names_the_phase_and_the_next_change(local: str, phase: str, following: str, change: str) -> None:
    found = phase_at(berlin(local), USUAL)
    assert (found.phase, found.next_phase, found.next_change) == (phase, following, berlin(change).astimezone(UTC))


def test_a_boundary_that_spring_skips_falls_on_the_jump_and_keeps_the_order() -> None:
    clock = Clock(time(3, 30), time(22), time(2, 45), BERLIN)  # 2026-03-29: 02:00 jumps to 03:00
    assert phase_at(datetime(2026, 3, 29, 0, 59, tzinfo=UTC), clock).phase == "NIGHT"
    assert phase_at(datetime(2026, 3, 29, 1, 0, tzinfo=UTC), clock).phase == "DEEP_NIGHT"
    assert phase_at(berlin("2026-03-29 03:30"), clock).phase == "DAY"
    assert phase_at(berlin("2026-03-29 12:00"), clock).phase == "DAY"


def test_an_hour_that_autumn_repeats_does_not_repeat_a_phase() -> None:
    clock = Clock(time(6), time(22), time(2, 30), BERLIN)  # 2026-10-25: 03:00 falls back to 02:00
    assert phase_at(berlin("2026-10-25 02:15"), clock).phase == "NIGHT"
    assert phase_at(berlin("2026-10-25 02:30"), clock).phase == "DEEP_NIGHT"
    assert phase_at(berlin("2026-10-25 02:15", fold=1), clock).phase == "DEEP_NIGHT"


@settings(max_examples=60, deadline=None)
@given(INSTANTS, ZONES, TIMES, TIMES, TIMES)
def test_the_next_change_is_ahead_and_is_the_first_instant_of_another_phase(
    now: datetime, zone: str, day: time, night: time, deep: time
) -> None:
    clock = Clock(day, night, deep, ZoneInfo(zone))
    found = phase_at(now, clock)
    if found.next_change is None:
        assert day == night == deep
        return
    assert now < found.next_change <= now + timedelta(days=3)
    assert phase_at(found.next_change, clock).phase == found.next_phase != found.phase
    assert phase_at(found.next_change - timedelta(seconds=1), clock).phase == found.phase or found.next_change - now <= timedelta(seconds=1)


@settings(max_examples=25, deadline=None)
@given(st.dates(datetime(2020, 1, 1).date(), datetime(2034, 1, 1).date()), ZONES)
def test_each_phase_begins_once_a_day_whatever_the_clocks_do(date: object, zone: str) -> None:
    clock = Clock(time(6), time(22), time(2, 30), ZoneInfo(zone))
    at = datetime.combine(date, time(12), tzinfo=UTC)  # type: ignore[arg-type]  # st.dates gives dates
    seen = []
    for _ in range(9):
        found = phase_at(at, clock)
        assert found.next_change is not None and found.next_phase is not None
        seen.append(found.next_phase)
        at = found.next_change
    order = ["DAY", "NIGHT", "DEEP_NIGHT"]
    assert all(order[(order.index(a) + 1) % 3] == b for a, b in pairwise(seen))


@settings(max_examples=40, deadline=None)
@given(INSTANTS, st.floats(-90, 90), st.floats(-180, 180))
def test_the_sun_gives_a_phase_everywhere_on_earth_at_every_time(now: datetime, latitude: float, longitude: float) -> None:
    clock = Clock(time(6), time(22), time(2), UTC, (latitude, longitude))
    found = phase_at(now, clock)
    assert found.phase in ("DAY", "NIGHT", "DEEP_NIGHT")
    assert found.next_change is not None and found.next_change > now


def test_by_the_sun_the_night_ends_at_sunrise_and_its_second_half_is_deep() -> None:
    clock = Clock(time(6), time(22), time(2), BERLIN, (52.5, 13.4))
    assert phase_at(berlin("2026-06-21 04:00"), clock).phase == "DEEP_NIGHT"
    assert phase_at(berlin("2026-06-21 05:00"), clock).phase == "DAY"
    assert phase_at(berlin("2026-12-21 07:30"), clock).phase == "DEEP_NIGHT"
    assert phase_at(berlin("2026-12-21 17:00"), clock).phase == "NIGHT"


def test_where_the_sun_does_not_set_the_wall_clock_decides() -> None:
    clock = Clock(time(6), time(22), time(2), ZoneInfo("Europe/Oslo"), (78.2, 15.6))
    assert phase_at(datetime(2026, 6, 21, 21, 30, tzinfo=UTC), clock).phase == "NIGHT"
    assert phase_at(datetime(2026, 12, 21, 11, 0, tzinfo=UTC), clock).phase == "DAY"


def test_a_clock_that_jumps_only_moves_the_answer() -> None:
    night = phase_at(berlin("2026-01-10 23:00"), USUAL)
    assert phase_at(berlin("2031-07-01 12:00"), USUAL).phase == "DAY"
    assert phase_at(berlin("2026-01-10 23:00"), USUAL) == night


def test_a_naive_now_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="aware"):
        phase_at(datetime(2026, 1, 1), USUAL)


def test_an_unknown_zone_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="Mars/Olympus"):
        make_clock("06:00", "22:00", "02:00", "Mars/Olympus", None, None)


def test_the_systems_zone_comes_from_tz_then_localtime_then_timezone_then_utc(tmp_path: Path) -> None:
    assert system_zone("", tmp_path) is UTC
    (tmp_path / "timezone").write_text("Asia/Tokyo\n")
    assert system_zone("", tmp_path) == ZoneInfo("Asia/Tokyo")
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    assert system_zone("", tmp_path) == BERLIN
    assert system_zone(":America/New_York", tmp_path) == ZoneInfo("America/New_York")


def test_a_local_time_that_exists_keeps_its_reading() -> None:
    instant = local_instant(datetime(2026, 7, 1).date(), time(7, 15), BERLIN)
    assert instant == datetime(2026, 7, 1, 5, 15, tzinfo=UTC)
