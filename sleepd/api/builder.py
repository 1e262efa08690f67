"""``RaisingTrainingDataBuilder``: experiences as token ids, the way a night trains them.

The documents put the loss on the whole text. Here it lies on the reply and its end-of-turn token alone (labels
-100 elsewhere): a model must not learn to write its user's side. The text follows the chat template of the model's
own tokenizer. torch is loaded with the first example, not with the module.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sleepd import durable
from sleepd.api import defaults, material
from sleepd.api.material import Trainable
from sleepd.errors import BadDataError, ConfigError, ModelError

IGNORED = -100  # the label that torch's cross-entropy leaves out
DIMENSIONS = ("surprise", "novelty", "arousal", "reward", "conflict")
FEW = 0.5  # the documents' threshold for a training set; a sleep cycle uses 0.6

Example = dict[str, Any]


class RaisingTrainingDataBuilder:
    """Training examples from an experience buffer. ``experiences``: its distinct entries, as dicts, in its order."""

    def __init__(
        self, experience_buffer_path: str | Path | None = None, model_tokenizer: Any = None, system_prompt: str | None = None
    ) -> None:
        """``model_tokenizer``: a tokenizer, or the directory of a model; None for the configured model.

        ``system_prompt``: put before every conversation. None by default, as a night trains: what is learned must
        hold without it. A buffer that does not exist yet has no experiences.
        """
        self.buffer_path = defaults.buffer_path(experience_buffer_path)
        self.system_prompt = system_prompt
        self._tokenizer = model_tokenizer
        self._chat: Any = None
        self._found = material.read(self.buffer_path) if self.buffer_path.exists() else []
        self.experiences: list[dict[str, Any]] = [asdict(experience) for experience in self._found]

    @property
    def tokenizer(self) -> Any:
        """The tokenizer, loaded when it is first needed. Raises ModelError when there is none."""
        return self._format().tokenizer

    def build_example(self, experience: Mapping[str, Any], include_system: bool = True) -> Example:
        """One experience (an entry of a buffer) as a training example.

        input_ids, labels, attention_mask: 1-D int64 tensors; salience: the total; salience_breakdown,
        experience_id, session, phase; text: what the ids say. Raises BadDataError when the entry lacks a key.
        """
        try:
            prompt, reply, salience = str(experience["prompt"]), str(experience["response"]), dict(experience["salience"])
            total = float(salience["total"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadDataError(
                f"experience {experience.get('id')!r} is no entry of a buffer: {type(error).__name__}: {error}",
                "it needs prompt, response and salience.total",
            ) from error
        return self._example(experience, prompt, reply, salience, total, include_system)

    def example_of(self, row: Trainable) -> Example:
        """The example of one chosen experience: its reply up to the last whole sentence, if it was cut off."""
        entry = asdict(row.experience)
        return self.build_example({**entry, "response": row.verdict.trimmed or row.experience.response})

    def build_training_set(self, min_salience: float = FEW, max_examples: int | None = None) -> list[Example]:
        """The examples that may be trained (see ``api.material``), highest salience first."""
        rows = material.trainable(self._found, min_salience)
        return [self.example_of(row) for row in rows[:max_examples]]

    def get_stats(self, training_set: Sequence[Example]) -> dict[str, Any]:
        """Counts and means of a training set. An empty one has num_examples, avg_salience and avg_length_tokens only."""
        count = len(training_set)
        if not count:
            return {"num_examples": 0, "avg_salience": 0.0, "avg_length_tokens": 0.0}
        saliences = [example["salience"] for example in training_set]
        return {
            "num_examples": count,
            "avg_salience": sum(saliences) / count,
            "avg_length_tokens": sum(len(example["input_ids"]) for example in training_set) / count,
            "salience_breakdown": {name: sum(e["salience_breakdown"].get(name, 0.0) for e in training_set) / count for name in DIMENSIONS},
            "session_distribution": dict(Counter(example["session"] for example in training_set)),
            "min_salience": min(saliences),
            "max_salience": max(saliences),
        }

    def prepare_batch(self, examples: Sequence[Example], batch_size: int = 1) -> list[dict[str, Any]]:
        """Batches of ``batch_size``, right-padded: input_ids, labels, attention_mask (rows, tokens) and salience (rows)."""
        import torch
        from torch.nn.utils.rnn import pad_sequence

        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}", "batch_size is at least 1")
        pad = self.tokenizer.pad_token_id
        fill = {"input_ids": self._format().end_of_turn if pad is None else pad, "labels": IGNORED, "attention_mask": 0}
        groups = [examples[start : start + batch_size] for start in range(0, len(examples), batch_size)]
        return [
            {
                **{
                    name: pad_sequence([example[name] for example in group], batch_first=True, padding_value=value)
                    for name, value in fill.items()
                },
                "salience": torch.tensor([example["salience"] for example in group], dtype=torch.float),
            }
            for group in groups
        ]

    def save_training_set(self, training_set: Sequence[Example], output_path: str | Path) -> None:
        """Write a training set for ``torch.load(path, weights_only=True)``: plain lists and numbers, no code."""
        import torch

        rows = [
            {name: value.tolist() if isinstance(value, torch.Tensor) else value for name, value in example.items() if name != "text"}
            for example in training_set
        ]
        document = {
            "training_examples": rows,
            "system_prompt": self.system_prompt,
            "model_name": str(self.tokenizer.name_or_path),
            "num_examples": len(rows),
        }
        data = io.BytesIO()
        torch.save(document, data)
        path = Path(output_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        durable.write_atomic(path, data.getvalue())

    def _example(
        self, entry: Mapping[str, Any], prompt: str, reply: str, salience: dict[str, float], total: float, include_system: bool
    ) -> Example:
        import torch

        chat = self._format()
        system = [{"role": "system", "content": self.system_prompt}] if self.system_prompt and include_system else []
        before = chat.prompt([*system, {"role": "user", "content": prompt}])
        answer = chat.answer(reply)
        ids = torch.tensor([*before, *answer], dtype=torch.long)
        labels = ids.clone()
        labels[: len(before)] = IGNORED
        return {
            "input_ids": ids,
            "labels": labels,
            "attention_mask": torch.ones_like(ids),
            "salience": total,
            "salience_breakdown": salience,
            "experience_id": entry.get("id"),
            "session": entry.get("session"),
            "phase": entry.get("phase"),
            "text": chat.tokenizer.decode(ids),
        }

    def _format(self) -> Any:
        if self._chat is None:
            from sleepd.night.chat import chat_format

            self._chat = chat_format(self._load_tokenizer())
        return self._chat

    def _load_tokenizer(self) -> Any:
        if self._tokenizer is not None and not isinstance(self._tokenizer, str | Path):
            return self._tokenizer
        from transformers import AutoTokenizer

        path = defaults.model_path(self._tokenizer)
        try:
            return AutoTokenizer.from_pretrained(str(path), local_files_only=True)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"{path} holds no tokenizer: {str(error).splitlines()[0]}", "pass a tokenizer, or the directory of a whole model"
            ) from error


def create_training_dataset_from_buffer(
    buffer_path: str | Path | None = None,
    min_salience: float = FEW,
    output_path: str | Path | None = None,
    model_tokenizer: Any = None,
) -> dict[str, Any]:
    """Build a training set, and save it where ``output_path`` says: training_set, stats and the builder."""
    builder = RaisingTrainingDataBuilder(buffer_path, model_tokenizer)
    training_set = builder.build_training_set(min_salience)
    if output_path is not None:
        builder.save_training_set(training_set, output_path)
    return {"training_set": training_set, "stats": builder.get_stats(training_set), "builder": builder}
