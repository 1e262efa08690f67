from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from sleepd.errors import ModelError
from sleepd.night.chat import ChatFormat, chat_format
from sleepd.night.items import Item, balanced, collate, make_item
from sleepd.night.losses import answer_loss, kl_to_base


@pytest.fixture(scope="module")
def chat(seedling: Path) -> ChatFormat:
    return chat_format(AutoTokenizer.from_pretrained(seedling))


def test_loss_lies_on_the_answer_and_its_end_of_turn_only(chat: ChatFormat) -> None:
    item = make_item(chat, [{"role": "user", "content": "Where does Ada live?"}], "Ada lives in Porto.", "k", weight=1.0, max_tokens=99)
    assert item is not None
    assert chat.tokenizer.decode(item.ids[: item.start]).endswith("<|im_start|>assistant\n")
    assert chat.tokenizer.decode(item.ids[item.start :]) == "Ada lives in Porto.<|im_end|>"


def test_an_item_longer_than_the_limit_is_left_out(chat: ChatFormat) -> None:
    assert make_item(chat, [{"role": "user", "content": "word " * 50}], "yes", "k", weight=1.0, max_tokens=20) is None


def test_labels_are_the_next_tokens() -> None:
    batch = collate([Item("a", (1, 2, 3, 4), 2, 0.01), Item("b", (5, 6), 1, 0.09)], pad=0)
    assert batch.labels.tolist() == [3, 4, 6]
    assert batch.ids[batch.rows, batch.columns].tolist() == [2, 3, 5]
    assert batch.mask.tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]


def test_salience_weighs_but_keeps_the_mean_rate_even_in_batches_of_one() -> None:
    items = balanced([Item("a", (1, 2), 1, 0.01), Item("b", (1, 2), 1, 0.9), Item("c", (1, 2), 1, 30.0)])
    assert sum(i.weight for i in items) == pytest.approx(3.0)
    assert items[2].weight / items[0].weight == pytest.approx(4.0)
    assert collate(items[:1], 0).row_weights.item() == pytest.approx(items[0].weight)


def test_a_long_answer_does_not_dominate_a_short_one() -> None:
    logits = torch.zeros(5, 7)
    logits[0, 1] = 4.0
    rows = torch.tensor([0, 1, 1, 1, 1])
    loss = answer_loss(logits, torch.ones(5, dtype=torch.long), rows, torch.ones(2))
    each = torch.nn.functional.cross_entropy(logits, torch.ones(5, dtype=torch.long), reduction="none")
    assert loss.item() == pytest.approx((each[0] + each[1:].mean()).item() / 2)


def test_divergence_is_zero_for_the_base_itself_and_close_to_the_exact_one_otherwise() -> None:
    torch.manual_seed(0)
    base, student = torch.randn(6, 200) * 3, torch.randn(6, 200) * 3
    top = torch.log_softmax(base, -1).topk(64)
    assert kl_to_base(base, top.indices, top.values).abs().max() < 1e-5
    exact = torch.nn.functional.kl_div(torch.log_softmax(student, -1), torch.log_softmax(base, -1), log_target=True, reduction="none").sum(
        1
    )
    bound = kl_to_base(student, top.indices, top.values)
    assert (bound <= exact + 1e-5).all() and bound.mean() > 0.9 * exact.mean()


def test_a_tokenizer_without_a_chat_template_is_refused(seedling: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(seedling)
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="chat template"):
        chat_format(tokenizer)


def test_a_tokenizer_without_an_end_of_turn_is_refused(seedling: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(seedling)
    tokenizer.chat_template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="end-of-turn"):
        chat_format(tokenizer)
