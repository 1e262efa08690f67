"""Verification: only a service that proves the new adapter by its identity and its answers is believed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from sleepd.adapter.reload import make
from sleepd.adapter.verify import CANARY_TOKENS, VerifyReport, canaries, verify
from sleepd.errors import ReloadError, StoreError
from sleepd.records import Canary, Served

NEW = "cycle_007"
SHA, OLD_SHA = "a" * 64, "9" * 64
Make = Callable[..., Any]


def eight(new: int = 0) -> list[Canary]:
    return [Canary(f"q{i}", f"answer {i}", new=i < new) for i in range(8)]


@dataclass
class Fake:
    """A service in memory. ``states``: what it says, one a look, the last for ever. ``wrong``: prompts it answers otherwise."""

    states: list[Served] = field(default_factory=lambda: [Served(True, NEW, SHA)])
    wrong: tuple[str, ...] = ()
    silent: bool = False
    broken: bool = False
    asked: list[tuple[str, int]] = field(default_factory=list)
    kind: str = "fake"

    def reload(self, directory: object, adapter_id: str | None) -> None:
        """Not part of verification."""

    def served(self) -> Served:
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]

    def ask(self, prompt: str, max_tokens: int) -> str | None:
        self.asked.append((prompt, max_tokens))
        if self.broken:
            raise ReloadError("the model crashed", "see its log")
        if self.silent:
            return None
        return "something else" if prompt in self.wrong else f" answer {prompt[1:]}\n"


class Clock:
    """Time that passes only while somebody waits, or asks."""

    def __init__(self, a_look: float = 0.0) -> None:
        self.now, self.a_look = 100.0, a_look
        self.waits: list[float] = []

    def __call__(self) -> float:
        self.now += self.a_look
        return self.now

    def wait(self, seconds: float) -> None:
        assert seconds > 0
        self.waits.append(seconds)
        self.now += seconds


def check(fake: Any, asked: list[Canary], clock: Clock | None = None, expected: str | None = NEW, sha: str | None = SHA) -> VerifyReport:
    clock = clock or Clock()
    return verify(fake, expected, sha, asked, 10.0, clock, clock.wait)


def test_the_new_adapter_is_believed_by_identity_and_answers() -> None:
    fake = Fake()
    report = check(fake, eight())
    assert report == VerifyReport(True, "identity cycle_007, 8 of 8 canaries as recorded", True, 8, 8)
    assert {tokens for _, tokens in fake.asked} == {CANARY_TOKENS}


def test_the_old_adapter_is_not_asked_but_refused_at_the_deadline() -> None:
    fake, clock = Fake([Served(True, "cycle_006", OLD_SHA)]), Clock()
    report = check(fake, eight(), clock)
    assert not report.ok
    assert "serves cycle_006 instead of cycle_007" in report.detail
    assert "after 10 s" in report.detail
    assert fake.asked == []
    assert sum(clock.waits) == pytest.approx(10.0)
    assert max(clock.waits) <= 2.0


def test_the_right_name_with_other_weights_is_refused() -> None:
    report = check(Fake([Served(True, NEW, OLD_SHA)]), eight())
    assert not report.ok
    assert "weights 9999" in report.detail


def test_a_service_that_needs_time_is_waited_for() -> None:
    states = [Served(False, detail="starting"), Served(True, "cycle_006", OLD_SHA), Served(True, NEW, SHA)]
    clock = Clock()
    assert check(Fake(states), eight(), clock).ok
    assert len(clock.waits) == 2


def test_a_service_that_stays_down_is_refused_with_its_reason() -> None:
    report = check(Fake([Served(False, detail="connection refused")]), eight())
    assert (report.ok, report.identity_checked) == (False, False)
    assert "not healthy: connection refused" in report.detail


@pytest.mark.parametrize(("wrong", "ok"), [(0, True), (1, True), (2, False), (8, False)])
def test_with_its_identity_proved_one_canary_in_eight_may_differ(wrong: int, ok: bool) -> None:
    report = check(Fake(wrong=tuple(f"q{i}" for i in range(wrong))), eight())
    assert (report.ok, report.canaries_passed, report.canaries_total) == (ok, 8 - wrong, 8)
    if not ok:
        assert "'q0' was answered 'something else' instead of 'answer 0'" in report.detail


def test_a_fact_learned_tonight_must_be_answered_as_recorded() -> None:
    assert check(Fake(wrong=("q7",)), eight(new=2)).ok
    report = check(Fake(wrong=("q1",)), eight(new=2))
    assert not report.ok
    assert "'q1'" in report.detail


def test_a_few_canaries_must_all_match() -> None:
    assert not check(Fake(wrong=("q0",)), eight()[:7]).ok


def test_without_identity_every_canary_must_match() -> None:
    unknown = [Served(True)]
    report = check(Fake(list(unknown)), eight())
    assert (report.ok, report.identity_checked) == (True, False)
    assert "identity not told" in report.detail
    assert not check(Fake(list(unknown), wrong=("q7",)), eight()).ok


def test_a_service_that_can_neither_tell_nor_answer_is_reported_as_not_verified() -> None:
    report = check(Fake([Served(True, detail="no reloader configured")], silent=True), eight())
    assert report == VerifyReport(
        True, "not verified: kind fake tells no identity and cannot be asked (no reloader configured)", False, 0, 0
    )


def test_identity_alone_is_reported_as_identity_alone() -> None:
    report = check(Fake(silent=True), eight())
    assert (report.ok, report.identity_checked, report.canaries_total) == (True, True, 0)
    assert "canaries not asked" in report.detail


def test_nothing_to_ask_and_no_identity_is_not_called_verified() -> None:
    report = check(Fake([Served(True)]), [])
    assert (report.ok, report.identity_checked) == (True, False)
    assert report.detail.startswith("not verified")


def test_a_canary_that_is_not_answered_is_tried_until_the_deadline() -> None:
    clock = Clock()
    report = check(Fake(broken=True), eight(), clock)
    assert not report.ok
    assert "the model crashed" in report.detail
    assert sum(clock.waits) == pytest.approx(10.0)


def test_a_service_too_slow_for_its_canaries_is_refused() -> None:
    report = check(Fake(), eight(), Clock(a_look=3.0))
    assert not report.ok
    assert "of 8 canaries were answered in time" in report.detail


def test_going_back_to_the_base_is_verified_too() -> None:
    assert check(Fake([Served(True, "base")]), [], expected=None, sha=None).ok
    report = check(Fake([Served(True, "cycle_006", OLD_SHA)]), [], expected=None, sha=None)
    assert "serves cycle_006 instead of base" in report.detail
    assert not check(Fake([Served(True, None, OLD_SHA)]), [], expected=None, sha=None).ok


def test_a_hash_alone_is_an_identity() -> None:
    assert check(Fake([Served(True, None, SHA)]), eight()).identity_checked
    assert not check(Fake([Served(True, None, OLD_SHA)]), eight()).ok


def test_the_default_kind_never_claims_a_verification(settings: Make) -> None:
    report = check(make(settings(kind="none")), eight())
    assert (report.ok, report.identity_checked, report.canaries_total) == (True, False, 0)
    assert "restart your inference service yourself" in report.detail


@pytest.mark.parametrize(("answers", "ok"), [("as recorded", True), ("as before", False)])
def test_over_http_a_service_with_the_old_weights_under_the_new_name_is_found_out(
    make_service: Make, settings: Make, answers: str, ok: bool
) -> None:
    def answer(request: Any) -> tuple[int, bytes]:
        if request.path == "/health":
            document = {"status": "ok", "base_sha256": "b", "adapter_id": NEW, "adapter_sha256": SHA, "generation": 1}
            return 200, json.dumps(document).encode()
        prompt = json.loads(request.body)["messages"][0]["content"]
        text = f"answer {prompt[1:]}" if answers == "as recorded" else "I don't know."
        return 200, json.dumps({"choices": [{"message": {"content": text}}]}).encode()

    service = make_service(answer)
    report = check(make(settings(kind="sleepd", url=service.url)), eight(new=4), Clock(a_look=0.5))
    assert report.ok is ok, report.detail


def test_canaries_are_read_from_what_was_recorded() -> None:
    rows = [{"prompt": "a", "answer": "b", "new": True}, {"prompt": "c", "answer": ""}]
    assert canaries({"canaries": rows}) == (Canary("a", "b", True), Canary("c", "", False))
    with pytest.raises(StoreError, match="canaries is null"):
        canaries({"canaries": None})
    for row in ({"answer": "b"}, {"prompt": "a", "answer": None}, {"prompt": "a", "answer": "b", "new": 1}):
        with pytest.raises(StoreError, match="canaries are damaged"):
            canaries({"canaries": [row]})
