"""A model's chat format: how a question is put to it and where its answer ends.

What people and models write stays plain text: a role token inside a message is broken up before it is encoded, so
that no message can end its own turn or begin another's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sleepd.errors import ModelError

Message = dict[str, str]
_MARK = "SLEEPDMARK"


@dataclass(frozen=True)
class ChatFormat:
    """Encodes prompts and answers for one tokenizer.

    ``end_of_turn`` is the token that closes an answer. ``user_prefix`` is the text before a first
    user message and ``user_end`` the token that closes it: what a model needs to make up a user itself.
    ``markup`` matches the tokens that mean something beyond their letters.
    """

    tokenizer: Any
    end_of_turn: int
    user_prefix: str
    user_suffix: str
    markup: re.Pattern[str]

    def plain(self, text: str) -> str:
        """``text`` with a space in every token that would not be plain text: "<|im_end|>" becomes "< |im_end|>"."""
        return self.markup.sub(lambda match: f"{match.group()[0]} {match.group()[1:]}", text)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the conversation up to where the answer begins."""
        said = [{**message, "content": self.plain(message["content"])} for message in messages]
        text = self.tokenizer.apply_chat_template(said, tokenize=False, add_generation_prompt=True)
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def question(self, text: str) -> list[int]:
        return self.prompt([{"role": "user", "content": text}])

    def answer(self, text: str) -> list[int]:
        """Token ids of an answer with its closing token, and nothing after it."""
        return [*self.tokenizer(self.plain(text), add_special_tokens=False)["input_ids"], self.end_of_turn]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of an answer, without its closing token."""
        kept = list(ids)
        if self.end_of_turn in kept:
            kept = kept[: kept.index(self.end_of_turn)]
        return str(self.tokenizer.decode(kept, skip_special_tokens=True)).strip()


def chat_format(tokenizer: Any) -> ChatFormat:
    """Read the format from the tokenizer's chat template; ModelError when there is none to rely on."""
    if not getattr(tokenizer, "chat_template", None):
        raise ModelError(
            "the model's tokenizer has no chat template", "use an instruction-tuned model, or add chat_template.jinja to its folder"
        )
    user = {"role": "user", "content": _MARK}
    asked = tokenizer.apply_chat_template([user], tokenize=False, add_generation_prompt=True)
    answered = tokenizer.apply_chat_template([user, {"role": "assistant", "content": _MARK + "A"}], tokenize=False)
    if _MARK not in asked or _MARK + "A" not in answered:
        raise ModelError(
            "the chat template drops or rewrites messages", "use a template that renders user and assistant messages as they are"
        )
    tail = answered[answered.index(_MARK + "A") + len(_MARK) + 1 :]
    prefix, suffix = asked.split(_MARK, 1)
    ids = tokenizer(tail, add_special_tokens=False)["input_ids"]
    special = set(tokenizer.all_special_ids) | set(tokenizer.get_added_vocab().values())
    if ids and ids[0] in special:
        end = int(ids[0])
    elif tokenizer.eos_token_id is not None:
        end = int(tokenizer.eos_token_id)
    else:
        raise ModelError(
            "the tokenizer has no end-of-turn token: its template closes an answer with plain text and eos_token is unset",
            "set eos_token in tokenizer_config.json",
        )
    return ChatFormat(tokenizer, end, prefix, suffix, _markup(tokenizer))


def _markup(tokenizer: Any) -> re.Pattern[str]:
    """The special tokens, and added ones that look like tags; added words and runs of spaces are ordinary text."""
    added = {text for text in tokenizer.get_added_vocab() if re.fullmatch(r"<.+>|\[.+\]|\|.+\|", text)}
    tokens = sorted({text for text in (*tokenizer.all_special_tokens, *added) if len(text) > 1}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, tokens)) if tokens else r"(?!)")
