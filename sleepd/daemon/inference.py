"""What the inference service serves, against what the link says; reloads on a difference.

Servers lose run-time adapters when they restart, and can be down when a night ends. Asked every few minutes, in
the worker; a run in progress does its own asking.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sleepd.adapter.identity import BASE
from sleepd.adapter.reload import Reloader
from sleepd.adapter.store import AdapterStore
from sleepd.daemon.context import Context
from sleepd.daemon.worker import Submit
from sleepd.errors import SleepdError
from sleepd.journal import Event, logger
from sleepd.records import Served

log = logger(__name__)

LOOK_SECONDS = 180.0


class InferenceWatch:
    """Remembers the last look. ``document`` is the "inference" part of the status."""

    def __init__(self, context: Context, submit: Submit) -> None:
        self._context = context
        self._submit = submit
        self._served: Served | None = None
        self._problem: str | None = None
        self._looking = False

    def forget(self) -> None:
        """The service is another one now."""
        self._served, self._problem = None, None

    def look(self) -> None:
        """Ask what is served, and reload where it is not what the link says."""
        if self._looking:
            return
        self._looking = True
        reloader, store = self._context.reloader, self._context.store
        self._submit(lambda: _look(reloader, store), lambda value, error: self._settle(reloader, value, error))

    def _settle(self, reloader: Reloader, value: object, error: Exception | None) -> None:
        self._looking = False
        if reloader is not self._context.reloader:
            return
        before = self._problem
        if isinstance(value, tuple):
            self._served, self._problem = value
        else:
            self._problem = error.message if isinstance(error, SleepdError) else f"cannot be asked: {error}"
        if self._problem is not None and self._problem != before:
            log.warning(Event.INFERENCE_FAILED, kind=reloader.kind, error=self._problem)
        if self._problem is None and before is not None:
            log.info(Event.INFERENCE_RECOVERED, kind=reloader.kind)

    def document(self) -> dict[str, Any]:
        served = self._served
        return {
            "kind": self._context.reloader.kind,
            "healthy": None if served is None else served.healthy,
            "served": None if served is None else asdict(served),
        }

    def errors(self) -> list[str]:
        return [] if self._problem is None else [f"inference: {self._problem}"]


def _look(reloader: Reloader, store: AdapterStore) -> tuple[Served, str | None]:
    """What is served after the look, and what is wrong with it. Runs in the worker."""
    served = reloader.served()
    if reloader.kind == "none":
        return served, None
    if not served.healthy:
        return served, f"not healthy: {served.detail}; start it, or see its log"
    linked = store.active()
    difference = _difference(served, store, linked)
    if difference is None:
        return served, None
    log.warning(Event.INFERENCE_DIFFERS, **difference)
    reloader.reload(None if linked is None else store.path(linked).resolve(), linked)
    served = reloader.served()
    if served.healthy and _difference(served, store, linked) is None:
        log.info(Event.INFERENCE_RELOADED, adapter=linked or BASE)
        return served, None
    return served, f"it serves {served.adapter_id or served.detail} and not {linked or BASE}, also after a reload"


def _difference(served: Served, store: AdapterStore, linked: str | None) -> dict[str, str] | None:
    """None also when the service does not tell: what cannot be known is no difference."""
    if served.adapter_id is not None and served.adapter_id != (linked or BASE):
        return {"served": served.adapter_id, "linked": linked or BASE}
    if served.adapter_sha256 is not None and linked is not None and served.adapter_sha256 != store.sha256(linked):
        return {"served": served.adapter_sha256[:16], "linked": linked}
    return None
