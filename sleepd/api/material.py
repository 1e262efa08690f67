"""Which experiences of a buffer the documents' loop trains. Reads the buffer, never writes it.

The documents train whole conversations: every experience from a salience on, short replies too. Here it must also
be sound taken by itself: a reply that is collapsed, cut off without one whole sentence, chat markup or a tool call,
and an exchange with a secret or personal data are never trained. What only its neighbours would tell against a
reply (near duplicates, shares of one prompt or session) does not exclude it; the gate judges what came of it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sleepd.errors import BadDataError, ConfigError, TornBufferError
from sleepd.experience.reader import BufferView, read_buffer
from sleepd.experience.recent import Recent
from sleepd.experience.screen import Screen, ScreenLimits
from sleepd.records import Experience, ScreenVerdict

log = logging.getLogger(__name__)

TOLERATED = frozenset({"short"})  # what the screen of the daemon refuses and the documents train
_TORN_LOOKS, _TORN_SECONDS = 10, 0.2


@dataclass(frozen=True)
class Trainable:
    """An experience that may be trained. ``verdict`` has no reasons left, and a cut reply's whole sentences."""

    experience: Experience
    verdict: ScreenVerdict


def read(path: Path) -> list[Experience]:
    """The distinct experiences of a buffer in its order, by id: its length says nothing. Raises NotFoundError or BufferError."""
    view = _read_whole(path)
    if view.errors:
        first = view.errors[0]
        log.warning("%s: %d entries are no experience and are left out; entry %d: %s", path, len(view.errors), first.entry, first.reason)
    distinct: dict[str, Experience] = {}
    for experience in view.experiences:
        distinct.setdefault(experience.id, experience)
    return list(distinct.values())


def trainable(experiences: list[Experience], min_salience: float) -> list[Trainable]:
    """Those that may be trained, highest salience first, then oldest first. Raises ConfigError for a bad salience."""
    if not 0.0 <= min_salience <= 1.0:
        raise ConfigError(f"min_salience is {min_salience}", "salience is between 0 and 1; the documents use 0.6")
    screen = Screen(ScreenLimits(min_salience=min_salience))
    judged = [(experience, screen.judge(experience, Recent())) for experience in experiences]
    sound = [Trainable(e, ScreenVerdict(e.id, (), (), verdict.trimmed)) for e, verdict in judged if not _codes(verdict) - TOLERATED]
    return sorted(sound, key=lambda row: -row.experience.salience.total)


def one_reply_a_prompt(rows: list[Trainable], trained: Collection[str] = ()) -> list[Trainable]:
    """Of several replies to the same prompt one, in the order of ``rows``: a night never teaches one prompt several answers.

    One that no cycle has ``trained`` (ids) comes before one that a cycle has, or a prompt that is asked in every
    session would stay with its first reply for ever.
    """
    chosen: dict[str, Trainable] = {}
    for row in sorted(rows, key=lambda row: row.experience.id in trained):
        chosen.setdefault(row.experience.prompt, row)
    kept = {row.experience.id for row in chosen.values()}
    return [row for row in rows if row.experience.id in kept]


def nothing_to_train(path: Path, experiences: list[Experience], min_salience: float) -> BadDataError:
    """Says why of these experiences none is trained, by reason."""
    screen = Screen(ScreenLimits(min_salience=min_salience))
    reasons = Counter(code for e in experiences for code in _codes(screen.judge(e, Recent())) - TOLERATED)
    why = ", ".join(f"{count} {code}" for code, count in reasons.most_common())
    return BadDataError(
        f"nothing to train: none of the {len(experiences)} experiences in {path} may be trained at min_salience {min_salience}"
        + (f" ({why})" if why else ""),
        "collect more experiences, or lower min_salience; `sleepd inspect` shows the reasons entry by entry",
    )


def _read_whole(path: Path) -> BufferView:
    """Writers rewrite the file in place, so a torn document is looked at again before it is an error."""
    for _ in range(_TORN_LOOKS - 1):
        try:
            return read_buffer(path)
        except TornBufferError:
            time.sleep(_TORN_SECONDS)
    return read_buffer(path)


def _codes(verdict: ScreenVerdict) -> set[str]:
    return {reason.partition(":")[0] for reason in verdict.reasons}
