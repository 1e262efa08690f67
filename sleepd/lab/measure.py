"""Measures one model on facts that the laboratory holds: what was learned, kept, leaked and disturbed.

The laboratory knows what the model knew beforehand and uses it here alone; no night ever sees it. The base is loaded
once and asked each question once; adapters are put on and taken off again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from sleepd.lab.probes import Probes
from sleepd.night.chat import chat_format
from sleepd.night.evaluate import ANSWER_TOKENS, passages, text_losses
from sleepd.night.generate import generate
from sleepd.night.rehearsal import divergences, rehearse
from sleepd.night.score import recalled
from sleepd.night.wordings import Wording

BATCH = 256
MAX_TOKENS = 512


@dataclass(frozen=True)
class Questions:
    """What is asked and read besides the facts of the days: known facts, unrelated prompts, unseen text."""

    known: tuple[Wording, ...]
    unrelated: tuple[str, ...]
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Standing:
    """What one model answers. ``direct``, ``paraphrase``, ``reverse``, ``stale``: one entry a fact, in the order of telling.

    ``paraphrase`` and ``reverse`` hold a fact's own questions, none for a fact that has none. ``stale``: an answer named a
    value that was corrected since. ``known`` is the share of facts still known (None when none were brought). ``text_loss``
    is in nats a token, ``kl`` the mean nats a token by which answers to unrelated prompts diverge from the base. ``leak``:
    the share of questions about strangers that are answered with the value of somebody that was learned, where the base does
    not; ``neighbours_same``: the share of those questions answered as the base does.
    """

    direct: tuple[bool, ...]
    paraphrase: tuple[tuple[bool, ...], ...]
    reverse: tuple[tuple[bool, ...], ...]
    stale: tuple[bool, ...]
    known: float | None
    text_loss: float
    kl: float
    leak: float
    neighbours_same: float

    def recall(self, start: int, end: int) -> float:
        """Recall of facts ``start`` to ``end``: each fact counts once, by the share of its questions answered right."""
        facts = [(d, *p) for d, p in zip(self.direct[start:end], self.paraphrase[start:end], strict=True)]
        return sum(sum(f) / len(f) for f in facts) / len(facts) if facts else 0.0


def standing_from(row: Mapping[str, Any]) -> Standing:
    """A standing from its JSON, which knows lists only."""
    return Standing(
        direct=tuple(row["direct"]),
        paraphrase=tuple(tuple(right) for right in row["paraphrase"]),
        reverse=tuple(tuple(right) for right in row["reverse"]),
        stale=tuple(row["stale"]),
        known=row["known"],
        text_loss=row["text_loss"],
        kl=row["kl"],
        leak=row["leak"],
        neighbours_same=row["neighbours_same"],
    )


class Examiner:
    """Holds the base and asks the same questions of every model, each in a fresh context."""

    def __init__(self, model_dir: Path, questions: Questions) -> None:
        self.model_dir, self.questions = model_dir, questions
        tokenizer = AutoTokenizer.from_pretrained(model_dir)
        self.chat = chat_format(tokenizer)
        self.base = load_model(model_dir)
        self.pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else self.chat.end_of_turn
        self._encoded = passages(self.chat, questions.texts)
        self._base_answers: dict[str, str] = {}
        replies = self._answers_of_base(questions.unrelated)
        pairs = [(prompt, reply) for prompt, reply in zip(questions.unrelated, replies, strict=True) if reply]
        self._unrelated = rehearse(self.base, self.chat, pairs, MAX_TOKENS)
        self._base_text = self._text(self.base)

    def examine(self, adapter: Path | None, asked: Sequence[Probes]) -> Standing:
        """The base with ``adapter``, or the bare base, on the facts ``asked`` and on everything else."""
        if adapter is None:
            return self.examine_model(None, asked)
        with self.wearing(adapter) as model:
            return self.examine_model(model, asked)

    @contextmanager
    def wearing(self, adapter: Path) -> Iterator[Any]:
        """The base with ``adapter`` put on; it is taken off again at the end."""
        wrapped: Any = PeftModel.from_pretrained(self.base, str(adapter))
        wrapped.eval()
        try:
            yield wrapped
        finally:
            self.base = wrapped.unload()

    def examine_model(self, model: Any, asked: Sequence[Probes]) -> Standing:
        """A loaded model of the base's shape; None is the bare base, whose answers are remembered."""
        strangers = [question for p in asked for question in p.neighbours]
        values = [p.fact.value for p in asked for _ in p.neighbours]
        forms = [w for p in asked for w in (p.direct, *p.paraphrase, *p.reverse)] + list(self.questions.known)
        questions = [w.question for w in forms] + strangers
        given = self._answers_of_base(questions) if model is None else self._answers(model, questions)
        answers = iter(zip(forms, given, strict=False))

        def right(count: int) -> tuple[tuple[bool, ...], list[str]]:
            taken = [next(answers) for _ in range(count)]
            return tuple(recalled(answer, form.accept) for form, answer in taken), [answer for _, answer in taken]

        direct, paraphrase, reverse, stale = [], [], [], []
        for p in asked:
            [first], said = right(1)
            others, also = right(len(p.paraphrase))
            direct.append(first)
            paraphrase.append(others)
            reverse.append(right(len(p.reverse))[0])
            stale.append(bool(p.stale) and any(recalled(answer, p.stale) for answer in (*said, *also)))
        known = right(len(self.questions.known))[0]
        leak, same = self._leaks(strangers, values, given[len(forms) :])
        return Standing(
            direct=tuple(direct),
            paraphrase=tuple(paraphrase),
            reverse=tuple(reverse),
            stale=tuple(stale),
            known=sum(known) / len(known) if known else None,
            text_loss=self._base_text if model is None else self._text(model),
            kl=0.0 if model is None else self._kl(model),
            leak=leak,
            neighbours_same=same,
        )

    def _leaks(self, strangers: Sequence[str], values: Sequence[str], given: Sequence[str]) -> tuple[float, float]:
        if not strangers:
            return 0.0, 1.0
        before = self._answers_of_base(strangers)
        leaked = sum(recalled(a, (v,)) and not recalled(b, (v,)) for a, b, v in zip(given, before, values, strict=True))
        same = sum(a == b for a, b in zip(given, before, strict=True))
        return leaked / len(strangers), same / len(strangers)

    def _answers_of_base(self, questions: Sequence[str]) -> list[str]:
        new = list(dict.fromkeys(q for q in questions if q not in self._base_answers))
        self._base_answers.update(zip(new, self._answers(self.base, new), strict=True))
        return [self._base_answers[q] for q in questions]

    def _answers(self, model: Any, questions: Sequence[str]) -> list[str]:
        made = generate(model, [self.chat.question(q) for q in questions], self.chat.end_of_turn, ANSWER_TOKENS, batch_size=BATCH)
        return [self.chat.decode(m.ids) for m in made]

    def _text(self, model: Any) -> float:
        losses = text_losses(model, self._encoded, _go_on)
        lengths = [ids.shape[1] - 1 for ids in self._encoded]
        return sum(loss * n for loss, n in zip(losses, lengths, strict=True)) / sum(lengths)

    def _kl(self, model: Any) -> float:
        each = divergences(model, self._unrelated, self.pad, _go_on)
        return sum(each) / len(each) if each else 0.0


def load_model(model_dir: Path) -> Any:
    """The model in fp32 on the CPU, ready to answer."""
    model: Any = AutoModelForCausalLM.from_pretrained(model_dir, dtype="float32")
    model.requires_grad_(False)
    model.eval()
    return model


def _go_on() -> None:
    """The laboratory is never asked to stop at a checkpoint."""
