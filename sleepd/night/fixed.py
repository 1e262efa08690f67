"""A job's fixed items (identity, refusals, general knowledge): what is probed, and what may be rehearsed."""

from __future__ import annotations

from sleepd.fixed_items import SplitItems, named, split_items
from sleepd.night.job import Job


def fixed_items(job: Job) -> SplitItems:
    """All of the job's items, with the configured names in them."""
    return split_items(named((*job.identity, *job.general), tuple(job.training.get("identity_names") or ())))


def rehearsal_items(job: Job) -> tuple[str, ...]:
    """Questions to rehearse: the base's own answers to them are what the student is held to. None of them is probed."""
    return tuple(item.question for item in fixed_items(job).rehearsed)
