"""The pool of what is rehearsed, on disk: made once for a base model, half of it on its first night, the rest on the next four.

Half is enough for a first adapter and is there soon. A few nights later more has to be kept apart from what was
learned, and what was never rehearsed drifts: of the held-out prompts it was four times as far from the base.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from sleepd.durable import publish_dir, remove_dir
from sleepd.errors import StoreError
from sleepd.night.chat import ChatFormat
from sleepd.night.items import Item
from sleepd.night.rehearsal import Pause, Pool, Rehearsed, Told, build

VERSION = 6
HELD_OUT_ONE_IN = 16
MOST_HELD_OUT = 256
UNUSED_DAYS = 30  # a pool of another base, or of settings that are no longer these, goes when a new one is made
GROWTHS = 4  # nights after the first on which the pool grows, by an eighth of itself each
BY_HEART = 0.5  # the temperature of the prompts that it grows by: drift takes first what is known by heart and never rehearsed


def load_or_build(
    model: Any,
    chat: ChatFormat,
    cache_dir: Path,
    base_sha256: str,
    count: int,
    max_tokens: int,
    pause: Pause = lambda: None,
    *,
    cycle: int = GROWTHS + 1,
    told: Told = lambda done: None,
) -> Pool:
    """The pool of this base model as of the night ``cycle``, the first being 1. ``count``: items of the grown pool.

    ``told`` hears how far each part is that has to be made. One in sixteen, 256 at most, is held out: of the first half,
    and on every night the same.
    """
    parts = [count - GROWTHS * (count // (2 * GROWTHS))] + [count // (2 * GROWTHS)] * min(GROWTHS, max(0, cycle - 1))
    key = hashlib.sha256(f"{base_sha256} {count} {max_tokens} {VERSION}".encode()).hexdigest()[:16]
    made = []
    for number, size in enumerate(parts):
        folder = cache_dir / f"rehearsal-{key}-{number}"
        if not (folder / "pool.json").exists():
            _remove_unused(cache_dir)
            temperature = 1.0 if number == 0 else BY_HEART
            _save(build(model, chat, size, int(key[:8], 16) + number, max_tokens, pause, told, temperature=temperature), folder)
        made.append(_load(folder))
        os.utime(folder)
    first = random.Random(key).sample(made[0], len(made[0]))
    chats = [r for r in first if r.prompt]
    held_out = chats[: max(1, min(MOST_HELD_OUT, count // HELD_OUT_ONE_IN))]
    rest = [r for r in first if not any(r is kept for kept in held_out)]
    return Pool(tuple(_distinct([*rest, *(r for part in made[1:] for r in part)], held_out)), tuple(held_out))


def _distinct(items: Sequence[Rehearsed], held_out: Sequence[Rehearsed]) -> list[Rehearsed]:
    """Each prompt once, and none that is held out; plain text has no prompt."""
    seen = {r.prompt for r in held_out}
    kept = []
    for item in items:
        if not item.prompt or item.prompt not in seen:
            seen.add(item.prompt)
            kept.append(item)
    return kept


def _remove_unused(cache_dir: Path) -> None:
    """Remove pools that no night has read for long, and what a killed night left half written."""
    oldest = time.time() - UNUSED_DAYS * 86400
    for folder in list(cache_dir.glob("*rehearsal-*")):
        if folder.is_dir() and folder.stat().st_mtime < oldest:
            remove_dir(folder)


def _save(items: list[Rehearsed], folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".rehearsal-", dir=folder.parent))
    try:
        save_file(
            {"top_ids": torch.cat([r.top_ids for r in items]), "top_log_p": torch.cat([r.top_log_p for r in items])},
            str(staging / "top.safetensors"),
        )
        rows = [{"prompt": r.prompt, "answer": r.answer, "ids": r.item.ids, "start": r.item.start} for r in items]
        (staging / "pool.json").write_text(json.dumps(rows))
        publish_dir(staging, folder)
    except StoreError:
        if not (folder / "pool.json").exists():
            raise  # else another process made it meanwhile, and from the same seed it made the same
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _load(folder: Path) -> list[Rehearsed]:
    tensors = load_file(str(folder / "top.safetensors"))
    items = []
    at = 0
    for index, row in enumerate(json.loads((folder / "pool.json").read_text())):
        count = len(row["ids"]) - row["start"]
        item = Item(f"rehearsal:{index}", tuple(row["ids"]), row["start"])
        items.append(
            Rehearsed(item, row["prompt"], row["answer"], tensors["top_ids"][at : at + count], tensors["top_log_p"][at : at + count])
        )
        at += count
    return items
