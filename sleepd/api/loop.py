"""``SleepTrainingLoop``: the documents' training loop, run by the same night and judged by the same gate as the daemon's.

What differs from the documents, and why: training runs in a process of its own, so a crash or an out-of-memory
kill cannot take the caller along; the loss lies on the replies only, not on the prompts; the gate may refuse an
adapter that does harm, and then nothing is kept; a cycle directory holds no tokenizer, for it would be the base
model's, unchanged. Preset values are the documents': rank 4, alpha 8, q_proj and v_proj.
"""

from __future__ import annotations

import gc
import logging
import tempfile
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any

from sleepd.api import cycle, defaults
from sleepd.api.builder import RaisingTrainingDataBuilder
from sleepd.api.checkpoints import PRESET, Checkpoints, Record
from sleepd.api.cycle import Request
from sleepd.api.order import Settings
from sleepd.base_model import identify
from sleepd.errors import ConfigError

log = logging.getLogger(__name__)

Document = dict[str, Any]


class SleepTrainingLoop:
    """Runs sleep cycles on one experience buffer and one checkpoint directory.

    ``model`` and ``tokenizer`` are None until ``_load_model``. A new object takes up where the cycles on disk end.
    """

    def __init__(
        self,
        model_path: str | Path,
        experience_buffer_path: str | Path | None = None,
        checkpoint_dir: str | Path | None = None,
        dropbox_sync: bool = False,
        device: str | None = None,
    ) -> None:
        """``model_path`` is read when it is first needed. ``device``: "cuda", "cpu", or None for what is there.

        Without a buffer or directory, those of the sleepd configuration: see ``api.defaults``. Raises ConfigError
        for ``dropbox_sync``, which the documents name and never had, and for an unknown device.
        """
        if dropbox_sync:
            raise ConfigError(
                "dropbox_sync is not supported",
                "copy checkpoint_dir with rclone after a cycle: rclone copy CHECKPOINT_DIR remote:checkpoints",
            )
        self.dropbox_sync = dropbox_sync
        self.model_path = defaults.model_path(model_path)
        self.experience_buffer_path = defaults.buffer_path(experience_buffer_path)
        self.checkpoint_dir = defaults.checkpoint_dir(checkpoint_dir)
        self._wanted_device = defaults.device(device)
        self.model: Any = None
        self.tokenizer: Any = None
        self._checkpoints = Checkpoints(self.checkpoint_dir)
        self._unsaved: Path | None = None
        self._unsaved_files = ExitStack()
        self._take(self._checkpoints.look())

    @cached_property
    def device(self) -> str:
        """ "cuda" or "cpu". Asking torch takes seconds, so it is asked when somebody wants to know."""
        if self._wanted_device != "auto":
            return self._wanted_device
        from sleepd.night.base import pick_device

        return str(pick_device("auto").type)

    def run_sleep_cycle(
        self,
        min_salience: float = 0.6,
        max_experiences: int | None = None,
        epochs: int = 3,
        learning_rate: float = 1e-5,
        batch_size: int = 1,
        save_checkpoint: bool = True,
    ) -> Document:
        """Train one cycle on the experiences of at least ``min_salience``, going on from the last cycle.

        Returns sleep_cycle, num_experiences, epochs, final_loss, avg_salience, epoch_losses, learning_rate, timestamp.
        Losses are nats a token of the replies. Without ``save_checkpoint`` nothing is written; this object alone
        goes on from the adapter. A loaded ``model`` is dropped while the night runs, to have its memory, and loaded
        again with the new adapter.

        Raises BadDataError when no experience may be trained, RefusedError when the gate refuses the adapter,
        SkippedError while another process trains here, and other SleepdErrors; then everything is as before.
        """
        settings = Settings(epochs, learning_rate, batch_size)
        request = Request(self.model_path, self.experience_buffer_path, self._wanted_device, settings, min_salience, max_experiences)
        was_loaded = self.model is not None
        self._unload()
        try:
            with self._checkpoints.lock():
                results = self._run(request, save_checkpoint)
        finally:
            if was_loaded:
                self._load_model()
        return results

    def _run(self, request: Request, save_checkpoint: bool) -> Document:
        on_disk = self._checkpoints.look()
        if self._unsaved is None or on_disk.number != self._saved.number:  # another process may have gone on
            self._take(on_disk)
        with ExitStack() as files:
            folder: Path | None = None
            if not save_checkpoint:
                folder = Path(files.enter_context(tempfile.TemporaryDirectory(prefix="sleepd-adapter-")), "adapter")
            outcome = cycle.run(self._checkpoints, request, self._record, self._unsaved, keep=folder)
            if folder is None:
                self._take(outcome.record)
            else:
                self._unsaved_files.close()
                self._unsaved, self._unsaved_files = folder, files.pop_all()
                self._show(outcome.record)
        return dict(outcome.results)

    def get_training_summary(self) -> Document:
        """total_cycles, total_experiences, latest_loss, latest_cycle, training_history, checkpoint_dir.

        Before the first cycle also ``status``, and the latest ones are None.
        """
        latest = self.training_history[-1] if self.training_history else {}
        summary: Document = {
            "total_cycles": self.sleep_cycle_count,
            "total_experiences": self.total_experiences_trained,
            "latest_loss": latest.get("final_loss"),
            "latest_cycle": latest.get("sleep_cycle"),
            "training_history": [dict(entry) for entry in self.training_history],
            "checkpoint_dir": str(self.checkpoint_dir),
        }
        return summary if latest else {**summary, "status": "No training cycles completed"}

    def _find_latest_checkpoint(self) -> Path | None:
        """The cycle directory of the highest number."""
        return self._checkpoints.latest()

    def _prepare_training_data(self, min_salience: float = 0.6, max_experiences: int | None = None) -> list[Document]:
        """What ``run_sleep_cycle`` would train, as the builder's examples, highest salience first."""
        chosen, _, _ = cycle.choose(self.experience_buffer_path, min_salience, max_experiences, self._record.trained)
        builder = RaisingTrainingDataBuilder(self.experience_buffer_path, self.tokenizer or self.model_path)
        return [builder.example_of(row) for row in chosen]

    def _load_model(self) -> tuple[Any, Any]:
        """Load the base model with the last cycle's adapter, or a new one, trainable; returns (model, tokenizer)."""
        if self.model is not None:
            return self.model, self.tokenizer
        base = identify(self.model_path, defaults.cache_dir(self.checkpoint_dir) / "base_models.json")
        living = self._unsaved or self._checkpoints.living(base.sha256)
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from sleepd.night import lora
        from sleepd.night.base import pick_device, pick_dtype
        from sleepd.night.presets import settings

        device = pick_device(self._wanted_device)
        self.tokenizer = AutoTokenizer.from_pretrained(base.path, local_files_only=True)
        dtype = pick_dtype("auto", device, base.bytes)
        model: Any = AutoModelForCausalLM.from_pretrained(base.path, dtype=dtype, local_files_only=True)
        model.to(device).requires_grad_(False)
        with torch.random.fork_rng():  # the caller's random numbers are the caller's
            self.model = lora.attach(model, settings({"preset": PRESET}, {}, model.num_parameters()), living, seed=0)
        self.model.eval()
        return self.model, self.tokenizer

    def _unload(self) -> None:
        if self.model is None:
            return
        on_gpu = self.model.device.type == "cuda"
        self.model = self.tokenizer = None
        gc.collect()
        if on_gpu:
            import torch

            torch.cuda.empty_cache()

    def _take(self, record: Record) -> None:
        """Go on from what is on disk."""
        self._saved = record
        self._unsaved = None
        self._unsaved_files.close()
        self._show(record)

    def _show(self, record: Record) -> None:
        self._record = record
        self.sleep_cycle_count = record.number
        self.total_experiences_trained = record.total_trained
        self.training_history = [dict(entry) for entry in record.history]
