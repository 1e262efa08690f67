"""What the screen remembers of the experiences before the one it judges. Bounded, whatever the history holds."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping

from sleepd.experience.similar import ReplyWindow
from sleepd.records import Experience

WINDOW = 500  # replies that a new one is compared with


def made_by_adapter(experience: Experience) -> bool:
    """Whether an adapter, ours or one that the writer marked, made this reply."""
    adapter = experience.metadata.get("adapter")
    return adapter not in (None, "", "base") or experience.metadata.get("using_lora") is True


class Recent:
    """The last replies, and how many experiences there are: in all, by prompt and by session."""

    def __init__(
        self,
        *,
        total: int = 0,
        sessions: Mapping[int, int] | None = None,
        prompts: Callable[[str], int] | None = None,
        tail: Iterable[Experience] = (),
    ) -> None:
        """What is counted already. ``tail``: the last of it, oldest first.

        ``prompts``: asks a ledger how many have a prompt, those that are added here included. Without one
        they are counted here.
        """
        self.total = total
        self.last: Experience | None = None
        self.window = ReplyWindow(WINDOW)
        self._made: deque[bool] = deque(maxlen=WINDOW)
        self._sessions = Counter(sessions or {})
        self._ask = prompts
        self._prompts: Counter[str] = Counter()
        for experience in tail:
            self._remember(experience)

    def add(self, experience: Experience) -> None:
        """Count an experience that has been judged."""
        self.total += 1
        if experience.session is not None:
            self._sessions[experience.session] += 1
        if self._ask is None:
            self._prompts[_plain(experience.prompt)] += 1
        self._remember(experience)

    def of_prompt(self, prompt: str) -> int:
        return self._ask(prompt) if self._ask else self._prompts[_plain(prompt)]

    def of_session(self, session: int) -> int:
        return self._sessions[session]

    def made_by_adapters(self) -> tuple[int, int]:
        """How many of the last replies adapters made, and of how many."""
        return sum(self._made), len(self._made)

    def _remember(self, experience: Experience) -> None:
        self.window.add(experience.id, experience.response)
        self._made.append(made_by_adapter(experience))
        self.last = experience


def _plain(prompt: str) -> str:
    return " ".join(prompt.casefold().split())
