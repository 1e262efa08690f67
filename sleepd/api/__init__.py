"""The Python API of the documents: the sleep loop, the scheduler, the training data, thin over the night and the store.

``sleepd`` exports the same names. Each is imported when it is first used, so that importing either package loads
neither torch nor transformers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sleepd.api.builder import RaisingTrainingDataBuilder, create_training_dataset_from_buffer
    from sleepd.api.loop import SleepTrainingLoop
    from sleepd.api.scheduler import SleepScheduler
    from sleepd.experience.collector import ExperienceCollector
    from sleepd.experience.salience import ConversationalSalienceScorer

HOMES = {
    "SleepTrainingLoop": "sleepd.api.loop",
    "SleepScheduler": "sleepd.api.scheduler",
    "RaisingTrainingDataBuilder": "sleepd.api.builder",
    "create_training_dataset_from_buffer": "sleepd.api.builder",
    "ExperienceCollector": "sleepd.experience.collector",
    "ConversationalSalienceScorer": "sleepd.experience.salience",
}

__all__ = [
    "SleepTrainingLoop",
    "SleepScheduler",
    "RaisingTrainingDataBuilder",
    "create_training_dataset_from_buffer",
    "ExperienceCollector",
    "ConversationalSalienceScorer",
]


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(HOMES[name]), name)
