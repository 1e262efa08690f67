"""SNARC salience of one exchange: surprise, novelty, arousal, reward and conflict of the reply, each in 0..1.

Owns the formulae and the word lists, and the short memory they need: the last five replies. It reads no
file and stores nothing; how much salience is enough is decided elsewhere.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from sleepd.records import Salience

MEMORY = 5  # replies that surprise and novelty compare with
FIRST = 0.5  # surprise and novelty of a reply that has nothing to be compared with

# All lists are matched inside words ("feel" finds "feeling"), so stems do.
FEELING = ("feel", "interesting", "fascinating", "curious", "important", "profound", "appreciate", "understand", "realized", "sense")
PARTNERSHIP = ("we", "our", "us", "together", "partner")
SPECIFIC = ("specifically", "particular")
HEDGING = ("as an ai", "might", "perhaps", "possibly", "unclear", "uncertain")
CONFLICT = (
    *("unclear", "uncertain", "can't verify", "not sure", "don't know"),  # uncertainty
    *("actually", "rather", "instead", "correction", "mistake"),  # correction
    *("notice", "recognize", "realize", "understand"),  # reflection
)


class ConversationalSalienceScorer:
    """Scores exchanges in the order in which they happened. One scorer belongs to one conversation partner."""

    def __init__(self, earlier_replies: Iterable[str] = ()) -> None:
        """``earlier_replies``: oldest first; only the last five count."""
        self._replies: deque[str] = deque(maxlen=MEMORY)
        for reply in earlier_replies:
            self.observe(reply)

    def observe(self, response: str) -> None:
        """Remember a reply without scoring it."""
        self._replies.append(response.lower())

    def score_exchange(self, prompt: str, response: str, metadata: Mapping[str, object] | None = None) -> dict[str, float]:
        """Score one exchange and remember its reply.

        Returns the five scores and ``total``, their mean. Only the reply is scored; ``prompt`` and
        ``metadata`` are taken because writers of buffers pass them.
        """
        reply = response.lower()
        scores = {
            "surprise": self._surprise(reply),
            "novelty": self._novelty(reply),
            "arousal": _arousal(reply),
            "reward": _reward(reply),
            "conflict": min(1.0, _found(CONFLICT, reply) / 6),
        }
        scores["total"] = sum(scores.values()) / len(scores)
        self._replies.append(reply)
        return scores

    def score(self, prompt: str, response: str) -> Salience:
        """The same as a record."""
        return Salience(**self.score_exchange(prompt, response))

    def _surprise(self, reply: str) -> float:
        """Falls with the share of sentences that one of the last replies holds already."""
        if not self._replies:
            return FIRST
        pieces = [piece.strip() for piece in reply.split(".")]
        repeated = sum(bool(piece) and any(piece in earlier for earlier in self._replies) for piece in pieces)
        return 1.0 - repeated / len(pieces)

    def _novelty(self, reply: str) -> float:
        """Three times the share of words that the last replies do not hold; a third of new words is all new."""
        if not self._replies:
            return FIRST
        words = set(reply.split())
        seen = {word for earlier in self._replies for word in earlier.split()}
        return min(1.0, 3 * len(words - seen) / len(words)) if words else 0.0


def _arousal(reply: str) -> float:
    length = min(1.0, max(0.3, len(reply.split()) / 50))
    questions = min(1.0, reply.count("?") / 2)
    feeling = min(1.0, _found(FEELING, reply) / 3)
    return (length + questions + feeling) / 3


def _reward(reply: str) -> float:
    raised = 0.3 + 0.7 * min(1.0, _found(PARTNERSHIP, reply) / 2) + 0.15 * _found(SPECIFIC, reply)
    return max(0.0, min(1.0, raised) - 0.3 * _found(HEDGING, reply))


def _found(phrases: tuple[str, ...], reply: str) -> int:
    return sum(phrase in reply for phrase in phrases)
