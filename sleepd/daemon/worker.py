"""One thread for what may take seconds: hashing, publishing, talking to the inference service.

The main loop submits a task and goes on; the outcome comes back through the queue. A task must not touch
the ledger, which belongs to the main loop's thread.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from sleepd.daemon.events import WorkDone

Task = Callable[[], object]
Settle = Callable[[object, Exception | None], None]
Submit = Callable[[Task, Settle], None]


class Worker:
    """Runs tasks one after the other. ``put`` receives a WorkDone for each."""

    def __init__(self, put: Callable[[WorkDone], None], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._put = put
        self._monotonic = monotonic
        self._tasks: queue.SimpleQueue[tuple[Task, Settle] | None] = queue.SimpleQueue()
        self._since: float | None = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, task: Task, settle: Settle) -> None:
        """Run ``task`` in the thread; ``settle(value, error)`` is for the main loop to call."""
        self._tasks.put((task, settle))

    def busy_seconds(self) -> float:
        """How long the present task has been running; 0 when there is none."""
        since = self._since
        return 0.0 if since is None else self._monotonic() - since

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        self._tasks.put(None)

    def _run(self) -> None:
        while (item := self._tasks.get()) is not None:
            task, settle = item
            self._since = self._monotonic()
            try:
                done = WorkDone(settle, task())
            except Exception as error:  # noqa: BLE001  (whatever it is, the loop handles and logs it)
                done = WorkDone(settle, None, error)
            self._since = None
            self._put(done)
