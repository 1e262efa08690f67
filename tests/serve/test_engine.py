from __future__ import annotations

import gc
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sleepd.errors import StoreError
from sleepd.serve.base import LoadedBase
from sleepd.serve.decoding import keep_likely
from sleepd.serve.engine import Engine
from sleepd.serve.values import Finished, Message, Piece, RequestError

from .asking import GREEDY, QUESTIONS, Asked, ask
from .client import wait_until
from .conftest import Store

SAMPLED = replace(GREEDY, temperature=1.5, seed=3)
LONG = replace(GREEDY, max_tokens=900, temperature=2.0, seed=1)


def test_an_answer_does_not_depend_on_what_else_is_being_answered(engine: Engine) -> None:
    alone = [ask(engine, question).text for question in QUESTIONS]
    together = [Asked(engine, question) for question in QUESTIONS]
    assert [asked.answer().text for asked in together] == alone


def test_tokens_are_delivered_one_after_the_other(engine: Engine) -> None:
    answered = ask(engine, "Where does Ada live?", SAMPLED)
    assert len(answered.pieces) > 1
    assert answered.end.completion_tokens <= SAMPLED.max_tokens


def test_a_seed_repeats_an_answer_and_another_changes_it(engine: Engine) -> None:
    answers = {seed: ask(engine, "Hello", replace(SAMPLED, seed=seed)).text for seed in range(5)}
    assert len(set(answers.values())) > 1
    assert ask(engine, "Hello", replace(SAMPLED, seed=3)).text == answers[3]


@pytest.mark.parametrize("likely", [{"top_k": 1}, {"top_p": 0.0}])
def test_only_the_best_token_left_is_greedy(engine: Engine, likely: dict[str, float]) -> None:
    assert ask(engine, "Hello", replace(SAMPLED, **likely)).text == ask(engine, "Hello").text


@pytest.mark.parametrize(
    ("top_k", "top_p", "kept"),
    [
        (0, 1.0, [0, 1, 2, 3]),
        (2, 1.0, [1, 3]),
        (9, 1.0, [0, 1, 2, 3]),
        (0, 0.5, [3]),
        (0, 0.6, [1, 3]),
        (0, 0.76, [0, 1, 3]),
        (2, 0.99, [1, 3]),
    ],
)
def test_what_may_be_drawn_is_the_k_best_and_the_smallest_set_of_the_probability(top_k: int, top_p: float, kept: list[int]) -> None:
    scores = torch.tensor([0.15, 0.25, 0.1, 0.5]).log()
    assert keep_likely(scores, top_k, top_p).isfinite().nonzero().flatten().tolist() == kept


def test_a_length_limit_ends_an_answer_and_says_so(engine: Engine) -> None:
    whole = ask(engine, QUESTIONS[0])
    short = ask(engine, QUESTIONS[0], replace(GREEDY, max_tokens=2))
    assert short.end == Finished("length", 2)
    assert whole.text.startswith(short.text)


def test_a_stop_text_ends_an_answer_before_it(engine: Engine) -> None:
    whole = ask(engine, QUESTIONS[0]).text
    stop = whole[len(whole) // 2 :][:3]
    stopped = ask(engine, QUESTIONS[0], replace(GREEDY, stop=(stop,)))
    assert stopped.text == whole[: whole.index(stop)]
    assert stopped.end.reason == "stop"


def test_a_prompt_longer_than_the_context_is_refused_with_the_numbers(engine: Engine) -> None:
    prompt = engine.encode([Message("user", "hello " * 3000)])
    with pytest.raises(RequestError) as caught:
        engine.submit(prompt, GREEDY, lambda _event: None)
    assert str(len(prompt)) in caught.value.message
    assert str(engine.info.context_tokens) in caught.value.message
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")


def test_an_answer_ends_where_the_context_does(engine: Engine) -> None:
    room = 5
    prompt = (engine.encode([Message("user", "hello " * 3000)]))[: engine.info.context_tokens - room]
    asked = Asked(engine, "unused")
    asked.answer()
    ticket = engine.submit(prompt, replace(GREEDY, max_tokens=40), asked.events.put)
    assert asked.answer().end.completion_tokens <= room
    assert ticket.prompt_tokens == engine.info.context_tokens - room


def test_a_full_queue_turns_requests_away_and_recovers(engine: Engine) -> None:
    running = [Asked(engine, "Hello", LONG) for _ in range(2)]
    wait_until(lambda: engine.queue().running == 2, "two requests run")
    waiting = [Asked(engine, "Hello", replace(GREEDY, max_tokens=1)) for _ in range(4)]
    with pytest.raises(RequestError) as caught:
        Asked(engine, "Hello")
    assert (caught.value.status, caught.value.code) == (503, "overloaded")
    assert caught.value.retry_after
    for asked in running:
        asked.ticket.cancel()
    for asked in waiting:
        asked.answer()
    assert ask(engine, "Hello").text


def test_who_gave_up_waiting_makes_room(engine: Engine) -> None:
    running = [Asked(engine, "Hello", LONG) for _ in range(2)]
    wait_until(lambda: engine.queue().running == 2, "two requests run")
    for _ in range(4):
        Asked(engine, "Hello").ticket.cancel()
    last = Asked(engine, "Hello")
    for asked in running:
        asked.ticket.cancel()
    assert last.answer().text == ask(engine, "Hello").text


def test_a_cancelled_request_is_dropped_and_nothing_more_is_delivered(engine: Engine) -> None:
    asked = Asked(engine, "Hello", LONG)
    asked.events.get(timeout=30)
    asked.ticket.cancel()
    wait_until(lambda: engine.queue().running == 0, "the request is dropped")
    received = list(asked.events.queue)
    ask(engine, "Hello")
    assert list(asked.events.queue) == received
    assert all(isinstance(event, Piece) for event in received)


def test_a_fault_ends_one_request_and_no_other(engine: Engine) -> None:
    good = Asked(engine, QUESTIONS[0])
    bad = Asked(engine, QUESTIONS[1])
    bad.ticket.answer._next = [10**9]  # type: ignore[attr-defined]  # a token that the model does not have
    failure = bad.failure()
    assert (failure.status, failure.code) == (500, "generation_failed")
    assert good.answer().text == ask(engine, QUESTIONS[0]).text


def test_scores_that_are_no_numbers_are_an_error_and_not_an_answer(base: LoadedBase, store: Store) -> None:
    engine = Engine(base, store.root, 1, 1)
    next(base.model.parameters()).data.fill_(torch.nan)
    engine.start()
    assert Asked(engine, "Hello").failure().code == "not_finite"
    engine.stop(10)


def test_stopping_fails_what_is_unfinished_and_takes_no_more(engine: Engine) -> None:
    asked = [Asked(engine, "Hello", LONG) for _ in range(4)]
    engine.stop(10)
    assert {a.failure().status for a in asked} == {503}
    with pytest.raises(RequestError, match="stopping"):
        ask(engine, "Hello")


def test_a_request_in_flight_keeps_its_adapter_and_a_new_one_gets_the_new(engine: Engine, store: Store) -> None:
    pure = {}
    for name in ("cycle_001", "cycle_002"):
        store.activate(name)
        engine.reload()
        pure[name] = ask(engine, QUESTIONS[0]).text
    assert len(set(pure.values())) == 2
    old = Asked(engine, QUESTIONS[0])
    store.activate("cycle_001")
    engine.reload()
    new = ask(engine, QUESTIONS[0])
    answered = old.answer()
    assert (answered.identity.adapter_id, answered.text) == ("cycle_002", pure["cycle_002"])
    assert (new.identity.adapter_id, new.text) == ("cycle_001", pure["cycle_001"])
    assert new.identity.generation == answered.identity.generation + 1


def test_reloading_the_same_adapter_is_no_new_generation(engine: Engine, store: Store) -> None:
    store.activate("cycle_001")
    first = engine.reload()
    assert engine.reload() == first


def test_removing_the_link_brings_back_the_base_model(engine: Engine, store: Store) -> None:
    without = ask(engine, QUESTIONS[0]).text
    store.activate("cycle_001")
    engine.reload()
    assert ask(engine, QUESTIONS[0]).text != without
    store.activate(None)
    assert engine.reload().adapter_id is None
    assert ask(engine, QUESTIONS[0]).text == without


def test_an_unusable_adapter_leaves_the_old_one_in_service(engine: Engine, store: Store) -> None:
    store.activate("cycle_001")
    served = engine.reload()
    (store.root / "cycle_002" / "adapter_model.safetensors").write_bytes(b"torn")
    store.activate("cycle_002")
    with pytest.raises(StoreError):
        engine.reload()
    assert engine.identity == served
    assert ask(engine, QUESTIONS[0]).identity == served
    assert engine.last_reload_error is not None
    assert "cycle_002" in engine.last_reload_error.message
    store.activate("cycle_003")
    engine.reload()
    assert engine.last_reload_error is None


def test_with_an_unusable_adapter_at_the_start_the_base_answers_and_the_reason_is_kept(base: LoadedBase, store: Store) -> None:
    (store.root / "active").symlink_to("cycle_404")
    engine = Engine(base, store.root, 1, 1)
    engine.start()
    assert engine.identity.adapter_id is None
    assert engine.last_reload_error is not None
    assert ask(engine, "Hello").text is not None
    engine.stop(10)


def test_an_adapter_directory_may_be_deleted_while_it_is_served(engine: Engine, store: Store) -> None:
    store.activate("cycle_001")
    engine.reload()
    before = ask(engine, QUESTIONS[0])
    for file in (store.root / "cycle_001").iterdir():
        file.unlink()
    assert ask(engine, QUESTIONS[0]) == before


def test_an_adapter_that_nobody_uses_any_more_leaves_the_memory(engine: Engine, store: Store) -> None:
    store.activate("cycle_001")
    engine.reload()
    ask(engine, "Hello")
    tensor = weakref.ref(next(iter(engine._generation.layers.values())).a)
    store.activate("cycle_002")
    engine.reload()
    wait_until(lambda: gc.collect() >= 0 and tensor() is None, "the old adapter is freed", seconds=5)


def test_the_base_models_files_are_never_written(engine: Engine, store: Store, model_dir: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in model_dir.iterdir()}
    store.activate("cycle_001")
    engine.reload()
    ask(engine, "Hello")
    assert {file: file.stat().st_mtime_ns for file in model_dir.iterdir()} == before
