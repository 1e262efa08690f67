"""What the screen remembers of the experiences before the one it judges. Bounded, whatever the history holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from sleepd.experience.similar import ReplyWindow
from sleepd.records import Experience

WINDOW = 500  # replies that a new one is compared with


def made_by_adapter(experience: Experience) -> bool:
    """Whether an adapter, ours or one that the writer marked, made this reply."""
    adapter = experience.metadata.get("adapter")
    return adapter not in (None, "", "base") or experience.metadata.get("using_lora") is True


class Recent:
    """The last replies, and how many experiences there are: in all, by prompt, by session, by adapters.

    ``prompts`` answers for what was counted before; what is added afterwards is counted here.
    """

    def __init__(
        self,
        *,
        total: int = 0,
        own: int = 0,
        sessions: Mapping[int, int] | None = None,
        prompts: Callable[[str], int] | None = None,
        tail: Iterable[Experience] = (),
    ) -> None:
        """``tail``: the last experiences among those counted, oldest first."""
        self.total = total
        self.own = own
        self.last: Experience | None = None
        self.window = ReplyWindow(WINDOW)
        self._sessions = Counter(sessions or {})
        self._earlier_prompts = prompts
        self._prompts: Counter[int] = Counter()
        for experience in tail:
            self.window.add(experience.id, experience.response)
            self.last = experience

    def add(self, experience: Experience) -> None:
        """Count an experience that has been judged."""
        self.total += 1
        self.own += made_by_adapter(experience)
        if experience.session is not None:
            self._sessions[experience.session] += 1
        self._prompts[_key(experience.prompt)] += 1
        self.window.add(experience.id, experience.response)
        self.last = experience

    def of_prompt(self, prompt: str) -> int:
        earlier = self._earlier_prompts(prompt) if self._earlier_prompts else 0
        return earlier + self._prompts[_key(prompt)]

    def of_session(self, session: int) -> int:
        return self._sessions[session]

    def recorded(self) -> None:
        """What was added is now in the ledger, whose answer about prompts includes it."""
        if self._earlier_prompts:
            self._prompts.clear()


def _key(prompt: str) -> int:
    return hash(" ".join(prompt.casefold().split()))
