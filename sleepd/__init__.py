"""sleepd turns what a local model lived through by day into a LoRA adapter by night.

The names below are the documented Python API. They are imported when they are first used: the daemon and the
command line import this package too, and must not wait for torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sleepd.api import (
        ConversationalSalienceScorer,
        ExperienceCollector,
        RaisingTrainingDataBuilder,
        SleepScheduler,
        SleepTrainingLoop,
        create_training_dataset_from_buffer,
    )

__version__ = "0.1.0"

__all__ = [
    "SleepTrainingLoop",
    "SleepScheduler",
    "RaisingTrainingDataBuilder",
    "create_training_dataset_from_buffer",
    "ExperienceCollector",
    "ConversationalSalienceScorer",
    "__version__",
]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from sleepd import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
