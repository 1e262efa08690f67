"""Which adapter is in service: the only code that moves the links ``active`` and ``last_good``.

Each function is one durable rename and may be repeated after a crash. None talks to the inference service:
that is the reloader's work, after the link and with the resolved directory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sleepd import durable
from sleepd.adapter.prune import by_number
from sleepd.adapter.store import ACTIVE, LAST_GOOD, AdapterStore
from sleepd.errors import NotFoundError, StoreError


def activate(store: AdapterStore, adapter_id: str | None) -> str | None:
    """Point ``active`` at an adapter, None for the base model alone, and return what it pointed at before.

    The adapter's hashes are verified first; a StoreError or NotFoundError leaves the link as it was. A link that was
    broken counts as None: replacing it is its repair.
    """
    previous = _readable(store.active)
    _point(store, ACTIVE, adapter_id)
    return previous


def commit(store: AdapterStore, adapter_id: str | None) -> None:
    """Point ``last_good`` at a verified adapter (None: the base model alone). Until then the one before it stays."""
    _point(store, LAST_GOOD, adapter_id)


def rollback_target(store: AdapterStore, committed: Iterable[str] = ()) -> str | None:
    """The adapter to go back to, None for the base model alone.

    That is what was committed last, unless it is what is active now: then a person wants an older one, the newest of
    ``committed`` (adapter ids, from the ledger) before it. An adapter that is not whole is passed over.
    """
    active, last_good = _readable(store.active), _readable(store.last_good)
    if last_good != active and (last_good is None or _whole(store, last_good)):
        return last_good
    if active is None:
        return None
    before = by_number(active)
    older = sorted((name for name in committed if by_number(name) < before), key=by_number, reverse=True)
    return next((name for name in older if _whole(store, name)), None)


def _point(store: AdapterStore, link: str, adapter_id: str | None) -> None:
    path = store.root / link
    if adapter_id is None:
        if path.is_symlink():
            durable.remove_symlink(path)
        return
    store.integrity(adapter_id)
    if path.is_symlink() and str(path.readlink()) == adapter_id:
        durable.fsync_dir(store.root)  # a crash may have come between the rename and its fsync
        return
    durable.swap_symlink(path, adapter_id)


def _readable(follow: Callable[[], str | None]) -> str | None:
    try:
        return follow()
    except StoreError:
        return None  # a broken link names nothing to go back to; `status` reports it through the store


def _whole(store: AdapterStore, adapter_id: str) -> bool:
    try:
        store.integrity(adapter_id)
    except (NotFoundError, StoreError):
        return False
    return True
