"""What was said just before an exchange: the earlier turns of its session. Reads no file and no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from sleepd.records import Experience

MOST_EARLIER = 3
_PAUSE = timedelta(minutes=30)  # a longer silence begins another conversation


def moment(text: str | None) -> datetime | None:
    """A time as the records hold it; naive ones count as UTC, and what is no time is None."""
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found


def earlier_turns(
    experiences: Sequence[Experience], most: int = MOST_EARLIER, sound: Callable[[Experience], bool] = lambda experience: True
) -> dict[str, tuple[Experience, ...]]:
    """For every experience the up to ``most`` exchanges right before it, oldest first.

    Same session, and adjacent: within half an hour of each other or, without times (chat exports), with the
    place in the conversation one lower. An exchange that is not ``sound`` ends the chain, and so does doubt:
    two exchanges at one place.
    """
    before: dict[str, Experience] = {}
    sessions: dict[int, list[Experience]] = {}
    for experience in experiences:
        if experience.session is not None:
            sessions.setdefault(experience.session, []).append(experience)
    for members in sessions.values():
        before |= _by_time(members) | _by_turn(members)
    found = {}
    for experience in experiences:
        chain: list[Experience] = []
        last = before.get(experience.id)
        while last is not None and len(chain) < most and sound(last) and last.response.strip():
            chain.insert(0, last)
            last = before.get(last.id)
        found[experience.id] = tuple(chain)
    return found


def _by_time(members: Sequence[Experience]) -> dict[str, Experience]:
    timed = [(at, member) for member in members if (at := moment(member.timestamp)) is not None]
    timed.sort(key=lambda pair: pair[0])
    return {
        member.id: previous
        for (began, previous), (at, member) in pairwise(timed)
        if timedelta(0) < at - began <= _PAUSE and previous.id != member.id
    }


def _by_turn(members: Sequence[Experience]) -> dict[str, Experience]:
    places: dict[int, list[Experience]] = {}
    for member in members:
        turn = member.metadata.get("turn")
        if member.timestamp is None and isinstance(turn, int):
            places.setdefault(turn, []).append(member)
    return {here[0].id: previous[0] for turn, here in places.items() if len(here) == 1 and len(previous := places.get(turn - 1, [])) == 1}
