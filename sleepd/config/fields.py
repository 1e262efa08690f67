"""Types of configuration values that several sections share, each with its bounds and its refusal."""

from __future__ import annotations

import re
import signal
from pathlib import PurePosixPath
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]+\.(service|target|scope)")


class Section(BaseModel):
    """Immutable, without unknown keys, and strict: the text "5" is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


def refuse(reason: str, key: str = "") -> PydanticCustomError:
    """A refusal in the words of the configuration. ``key`` names the culprit when a section is judged as a whole."""
    return PydanticCustomError("refused", "{reason}", {"reason": reason, "key": key})


def _clock_time(value: str) -> str:
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value, re.ASCII):
        raise refuse('must be a time of day, "00:00" to "23:59"')
    return value


def _path(value: str) -> str:
    # Daemon, child and command line have different working directories: a relative path would name several files.
    if value and not value.startswith("~/") and not PurePosixPath(value).is_absolute():
        raise refuse("must be an absolute path, or start with ~/")
    return value


def _set(value: str) -> str:
    if not value:
        raise refuse("must not be empty")
    return value


def _url(value: str) -> str:
    if value and not re.match(r"https?://[^/\s]", value):
        raise refuse("must begin with http:// or https://")
    return value


def _signal(value: str) -> str:
    if value not in signal.Signals.__members__ or value in ("SIGKILL", "SIGSTOP"):
        raise refuse("must be the name of a signal that a program can catch, such as SIGHUP")
    return value


def _unit(value: str) -> str:
    if value and not _UNIT.fullmatch(value):
        raise refuse('must be the name of a unit, such as "llama.service"')
    return value


def _zone(value: str) -> str:
    if value:
        try:
            ZoneInfo(value)
        except (OSError, ValueError, KeyError) as error:
            raise refuse('must be a known time zone such as "Europe/Berlin", or empty for the system\'s') from error
    return value


ClockTime = Annotated[str, AfterValidator(_clock_time)]
FilePath = Annotated[str, AfterValidator(_path)]
GivenPath = Annotated[str, AfterValidator(_set), AfterValidator(_path)]
Url = Annotated[str, AfterValidator(_url)]
SignalName = Annotated[str, AfterValidator(_signal)]
UnitName = Annotated[str, AfterValidator(_unit)]
ZoneName = Annotated[str, AfterValidator(_zone)]
Share = Annotated[float, Field(ge=0, le=1)]
Ratio = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]
