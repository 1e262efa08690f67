"""The library for programs that write an experience buffer: scores exchanges and keeps the telling ones.

Every write happens under a lock and replaces the file whole, so that several writers lose nothing and a reader
never sees half a document. Entries of others, and fields that this version does not know, are kept as they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sleepd.experience.buffer_file import BufferFile
from sleepd.experience.cards import extract
from sleepd.experience.entries import DIMENSIONS, experience_id
from sleepd.experience.privacy import scrub
from sleepd.experience.prose import words
from sleepd.experience.salience import ConversationalSalienceScorer
from sleepd.experience.screen import collapsed
from sleepd.experience.similar import near_identical
from sleepd.records import Experience, Salience

HIGH_SALIENCE = 0.7
LATELY = 20  # replies that a new one is compared with
_REPEATED = 3  # as many near-identical ones among them are a collapse


class ExperienceCollector:
    """An experience buffer in a file. ``experiences`` is what it held when it was last read or written."""

    def __init__(self, buffer_path: str | Path | None = None, salience_threshold: float = 0.5) -> None:
        """``buffer_path``: default ``experience_buffer.json`` in the working directory. Raises BufferError."""
        self.buffer_path = Path(buffer_path) if buffer_path is not None else Path("experience_buffer.json")
        self.salience_threshold = salience_threshold
        self._file = BufferFile(self.buffer_path)
        self._replies: list[str] = []
        self.scorer = ConversationalSalienceScorer()
        for entry in deque(self._file.entries(), maxlen=LATELY):
            self._note(entry.get("response"))

    @property
    def experiences(self) -> list[dict[str, Any]]:
        """All entries of the buffer as they are in the file now."""
        return list(self._file.entries())

    def add_exchange(
        self,
        prompt: str,
        response: str,
        session_number: int | None = None,
        phase: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
    ) -> dict[str, Any]:
        """Score an exchange and store it when it is salient, or when the user stated a fact in it.

        Returns ``salience`` (the scores), ``stored`` (it is in the buffer now), ``filtered`` (the reply looks
        collapsed; ``filter_reason`` says why) and ``experience_id``. Secrets are blacked out before anything
        is written. Raises BufferError when the buffer cannot be read, StoreError when it cannot be written.
        """
        prompt, response = scrub(prompt)[0], scrub(response)[0]
        key = experience_id(prompt, response)
        telling = self._states_a_fact(key, prompt)
        reason = collapsed(response) or self._repeats(response)
        scores = self.scorer.score_exchange(prompt, response, metadata)
        self._remember(response)
        result: dict[str, Any] = {"salience": scores, "stored": False, "filtered": bool(reason) and not telling, "experience_id": key}
        if result["filtered"]:
            result["filter_reason"] = reason
            return result
        if scores["total"] >= self.salience_threshold or telling:
            entry: dict[str, Any] = {
                "id": key,
                "prompt": prompt,
                "response": response,
                "salience": scores,
                "session": session_number,
                "phase": phase,
                "timestamp": datetime.now().astimezone().isoformat(),
                "metadata": _scrubbed(dict(metadata or {})),
            }
            if tool_calls:
                entry["tool_calls"] = [_scrubbed(dict(call)) for call in tool_calls]
            self._file.append(entry)
            result["stored"] = True
        return result

    def get_high_salience_experiences(self, min_salience: float = HIGH_SALIENCE, limit: int | None = None) -> list[dict[str, Any]]:
        """Entries of at least this salience, highest first."""
        chosen = sorted((entry for entry in self.experiences if _total(entry) >= min_salience), key=_total, reverse=True)
        return chosen if limit is None else chosen[:limit]

    def consolidate_for_sleep(self, min_salience: float = 0.6) -> list[dict[str, Any]]:
        """What a night would start from, highest salience first."""
        return self.get_high_salience_experiences(min_salience)

    def get_stats(self) -> dict[str, Any]:
        """Counts and averages over the buffer."""
        entries = self.experiences
        if not entries:
            return {"total_experiences": 0, "avg_salience": 0.0, "high_salience_count": 0}
        times = [entry["timestamp"] for entry in entries if isinstance(entry.get("timestamp"), str)]
        return {
            "total_experiences": len(entries),
            "avg_salience": sum(map(_total, entries)) / len(entries),
            "high_salience_count": sum(_total(entry) >= HIGH_SALIENCE for entry in entries),
            "dimension_averages": {name: sum(_score(entry, name) for entry in entries) / len(entries) for name in DIMENSIONS},
            "oldest_experience": times[0] if times else None,
            "newest_experience": times[-1] if times else None,
        }

    def get_collapse_status(self) -> dict[str, Any]:
        """Whether the latest replies look like those of a collapsed model."""
        count = len(self._replies)
        if count < _REPEATED:
            return {"collapse_detected": False, "reason": "insufficient_data", "recent_responses": count, "recent_count": count}
        pairs = [(one, two) for i, one in enumerate(self._replies) for two in self._replies[i + 1 :]]
        alike = sum(_alike(one, two) for one, two in pairs)
        broken = sum(collapsed(reply) is not None for reply in self._replies)
        detected = alike > len(pairs) / 2 or broken > count / 2
        return {
            "collapse_detected": detected,
            "repetition_ratio": alike / len(pairs),
            "high_similarity_pairs": alike,
            "total_pairs": len(pairs),
            "collapsed_replies": broken,
            "recent_responses": count,
            "recommendation": "serve the base without its adapter and look at the latest replies" if detected else "normal_operation",
        }

    def _states_a_fact(self, key: str, prompt: str) -> bool:
        """The user's words are kept whatever the reply was worth."""
        none = Salience(0, 0, 0, 0, 0, 0)
        return bool(extract(Experience(key, prompt, "", none)))

    def _repeats(self, response: str) -> str | None:
        alike = sum(_alike(response, reply) for reply in self._replies)
        return f"near-identical to {alike} of the last {len(self._replies)} replies" if alike >= _REPEATED else None

    def _note(self, response: object) -> None:
        if isinstance(response, str):
            self.scorer.observe(response)
            self._remember(response)

    def _remember(self, response: str) -> None:
        self._replies = [*self._replies[1 - LATELY :], response]


def _alike(one: str, two: str) -> bool:
    return near_identical(frozenset(words(one)), one, frozenset(words(two)), two)


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return scrub(value)[0]
    if isinstance(value, Mapping):
        return {name: _scrubbed(item) for name, item in value.items()}
    return [_scrubbed(item) for item in value] if isinstance(value, list | tuple) else value


def _score(entry: Mapping[str, Any], name: str) -> float:
    salience = entry.get("salience")
    score = salience.get(name) if isinstance(salience, dict) else None
    return float(score) if isinstance(score, int | float) else 0.0


def _total(entry: Mapping[str, Any]) -> float:
    return _score(entry, "total")
