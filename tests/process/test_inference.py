"""The daemon with an inference service over real HTTP: verified, down, slow, stuck on the old adapter, restarted."""

from __future__ import annotations

import pytest

from sleepd.errors import ExitCode, SleepdError
from tests.process.fake_inference import Inference, serving
from tests.process.harness import Start, Workspace


@pytest.fixture
def inference(workspace: Workspace) -> Inference:
    return Inference(workspace.state / "adapters")


def use(workspace: Workspace, url: str, **keys: object) -> None:
    workspace.set("inference", kind="sleepd", url=url, **keys)


def test_a_commit_follows_the_proof_that_the_new_adapter_answers(workspace: Workspace, start: Start, inference: Inference) -> None:
    workspace.live(6)
    with serving(inference) as url:
        use(workspace, url)
        daemon = start().ready()
        last = daemon.verdict("cycle_001")
        assert last["verdict"] == "committed" and last["reasons"] == []
        assert daemon.call("report")["verification"] == {
            "detail": "identity cycle_001, 1 of 1 canaries as recorded",
            "identity_checked": True,
            "canaries_passed": 1,
            "canaries_total": 1,
        }
        found = daemon.until(
            lambda: (daemon.status()["inference"]["served"] or {}).get("adapter_id") == "cycle_001" and daemon.status(), "served"
        )
        assert found["inference"]["healthy"] is True and found["errors"] == []


@pytest.mark.parametrize("fault", ["stuck", "wrong", "slow"])
def test_a_service_that_does_not_take_it_gets_the_old_adapter_back(
    workspace: Workspace, start: Start, inference: Inference, fault: str
) -> None:
    workspace.live(6)
    with serving(inference) as url:
        use(workspace, url, timeout_seconds=0.5)
        daemon = start().ready()
        daemon.verdict("cycle_001")
        setattr(inference, fault, True)
        workspace.live(9)
        last = daemon.verdict("cycle_002")
        assert last["verdict"] == "rolled_back", last
        assert workspace.active() == "cycle_001"
        status = daemon.status()
        assert status["active"]["id"] == "cycle_001" and status["totals"]["new"] == 3
        assert "active is cycle_001 again" in last["reasons"][-1]
        assert len([s for s in daemon.call("show", number=2)["steps"] if s["step"] == "RELOAD"]) == 2  # tries, no more


def test_a_service_that_is_down_costs_the_night_and_is_told(workspace: Workspace, start: Start, inference: Inference) -> None:
    workspace.live(6)
    use(workspace, "http://127.0.0.1:9", timeout_seconds=0.3)
    workspace.set("schedule", min_hours_between_sleep=6.0)
    daemon = start().ready()
    assert daemon.verdict("cycle_001")["verdict"] == "rolled_back"
    status = daemon.until(lambda: daemon.status()["errors"] and daemon.status(), "an error in the status")
    assert status["inference"]["healthy"] is False and "inference: not healthy" in status["errors"][0]
    assert workspace.active() is None and status["totals"]["new"] == 6


def test_a_service_that_was_restarted_gets_its_adapter_again(workspace: Workspace, start: Start, inference: Inference) -> None:
    workspace.live(6)
    with serving(inference) as url:
        use(workspace, url)
        daemon = start().ready()
        daemon.verdict("cycle_001")
        daemon.stop()
        inference.adapter = None  # it forgot while nobody looked
        daemon = start().ready()
        daemon.until(lambda: inference.adapter == "cycle_001", "reloaded")
        assert daemon.events("inference_differs")[0]["linked"] == "cycle_001"


def test_hand_control_that_cannot_be_verified_is_undone_and_refused(workspace: Workspace, start: Start, inference: Inference) -> None:
    workspace.live(6)
    with serving(inference) as url:
        use(workspace, url, timeout_seconds=0.3)
        daemon = start().ready()
        daemon.verdict("cycle_001")
        inference.stuck = True
        with pytest.raises(SleepdError, match="base was not activated") as caught:
            daemon.call("activate", target="base", by="ann@tty1")
        assert caught.value.exit_code == ExitCode.REFUSED
        assert workspace.active() == "cycle_001" and daemon.status()["totals"]["new"] == 0
        inference.stuck = False
        assert daemon.call("activate", target="base", by="ann@tty1")["active"] is None
        assert inference.adapter is None
