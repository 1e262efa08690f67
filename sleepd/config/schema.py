"""Every key of the configuration with its default and bounds; the unit is in the name. Reads no file.

``config/sleepd.toml`` explains each key to people; a test holds the two together. The limits of the gate
repeat the defaults of ``adapter.limits``, which this layer may not import; a test holds those together too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from sleepd.config.fields import (
    AtLeastOne,
    ClockTime,
    Count,
    FilePath,
    GivenPath,
    NotNegative,
    Ratio,
    Section,
    Share,
    SignalName,
    UnitName,
    Url,
    ZoneName,
    refuse,
)

Device = Literal["auto", "cpu", "cuda"]
Dtype = Literal["auto", "float32", "bfloat16"]
DAY_HOURS = 24.0


@dataclass(frozen=True)
class Thresholds:
    """When a cycle is due: counts of usable experiences, and hours."""

    min_experiences: int
    min_new_experiences: int
    min_hours_between_sleep: float


PRESETS = {
    "recommended": Thresholds(5, 2, 6.0),
    "conservative": Thresholds(10, 5, 12.0),
    "aggressive": Thresholds(3, 1, 3.0),
    "fleet": Thresholds(30, 10, 12.0),
}


class Model(Section):
    path: FilePath = ""


class Experience(Section):
    buffers: list[GivenPath] = Field(default_factory=list)
    min_salience: Share = 0.6
    poll_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    quiet_seconds: Annotated[float, Field(ge=0, le=3600)] = 1.0
    max_prompt_share: Share = 0.10
    max_session_share: Share = 0.5
    max_own_share: Share = 0.5
    max_buffer_mb: AtLeastOne = 200


class Schedule(Section):
    preset: Literal["recommended", "conservative", "aggressive", "fleet"] = "recommended"
    min_experiences: AtLeastOne | None = None
    min_new_experiences: Count | None = None
    min_hours_between_sleep: NotNegative | None = None
    idle_minutes: NotNegative = 10.0
    day: ClockTime = "06:00"
    night: ClockTime = "22:00"
    deep_night: ClockTime = "02:00"
    timezone: ZoneName = ""
    latitude: Annotated[float, Field(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Field(ge=-180, le=180)] | None = None
    deep_every: AtLeastOne = 7
    early_nights: bool = True
    urgent_salience: Share = 0.9
    min_hours_early: NotNegative = 2.0
    adaptive: bool = True
    alert_days: Annotated[float, Field(gt=0, le=366)] = 3.0

    @model_validator(mode="after")
    def _place(self) -> Self:
        if self.latitude is None and self.longitude is not None:
            raise refuse("needs schedule.latitude too", "longitude")
        if self.longitude is None and self.latitude is not None:
            raise refuse("needs schedule.longitude too", "latitude")
        return self

    def resolved(self) -> Thresholds:
        """The preset, with every key that is set applied over it."""
        preset = PRESETS[self.preset]
        return Thresholds(
            preset.min_experiences if self.min_experiences is None else self.min_experiences,
            preset.min_new_experiences if self.min_new_experiences is None else self.min_new_experiences,
            preset.min_hours_between_sleep if self.min_hours_between_sleep is None else self.min_hours_between_sleep,
        )


class Conditions(Section):
    require_ac: bool = True
    max_temperature_c: Annotated[float, Field(gt=0, le=150)] = 85.0
    min_free_memory_mb: Count = 512
    min_free_disk_mb: Count = 512
    max_memory_pressure: Annotated[float, Field(ge=0, le=100)] = 40.0
    hysteresis: Annotated[float, Field(ge=0, le=50)] = 5.0


class Training(Section):
    preset: Literal["verified", "seed"] = "verified"
    python: FilePath = ""
    device: Device = "auto"
    dtype: Dtype = "auto"
    threads: Count = 0
    rank: Annotated[int, Field(ge=1, le=512)] | None = None
    alpha: Annotated[int, Field(ge=1, le=1024)] | None = None
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = None
    epochs: Annotated[int, Field(ge=1, le=1000)] | None = None
    batch_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    target_modules: Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1)] | None = None
    max_hours: Annotated[float, Field(gt=0, le=DAY_HOURS)] = 6.0
    grace_seconds: Annotated[float, Field(gt=0, le=600)] = 60.0
    memory_max_mb: Count = 0
    nice: Annotated[int, Field(ge=0, le=19)] = 19
    max_cards: AtLeastOne = 1000
    max_examples: Count = 64
    max_extractions: Count = 256
    rehearsal_pool: AtLeastOne = 8192
    heldout_text: FilePath = ""
    identity_file: FilePath = ""
    general_file: FilePath = ""
    identity_names: list[Annotated[str, Field(min_length=1)]] = Field(default_factory=list)
    planted_canaries: list[Annotated[str, Field(min_length=6)]] = Field(default_factory=list)  # shorter ones would come out by chance


class Gate(Section):
    min_new_recall: Share = 0.5
    old_alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    max_old_regressions_share: Share = 0.02
    max_kl: NotNegative = 0.02
    max_kl_p95: NotNegative = 0.15
    max_text_loss: NotNegative = 0.01
    max_general_lost: NotNegative = 3.0
    general_alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    min_neighbours_same: Share = 0.95
    max_leak: Share = 0.02
    max_identity_lost: Count = 0
    min_distinct3: Share = 0.70
    max_distinct3_drop: Share = 0.05
    max_repeated_share_rise: Share = 0.05
    max_questions_rise: NotNegative = 0.5
    min_length_ratio: Ratio = 0.7
    max_length_ratio: Ratio = 1.4
    min_end_of_turn_rate_ratio: Share = 0.9
    min_entropy_ratio: Ratio = 0.5
    max_entropy_ratio: Ratio = 1.5
    entropy_slack: NotNegative = 0.1
    max_norm_ratio: Annotated[float, Field(gt=0, le=10)] = 1.0

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (("min_length_ratio", "max_length_ratio"), ("min_entropy_ratio", "max_entropy_ratio")):
            if getattr(self, low) > getattr(self, high):
                if low in self.model_fields_set:
                    raise refuse(f"must not exceed gate.{high} ({getattr(self, high)})", low)
                raise refuse(f"must not be below gate.{low} ({getattr(self, low)})", high)
        return self


class Adapters(Section):
    keep: Annotated[int, Field(ge=3)] = 5  # servers may still hold the last ones: fewer than three is not safe


class Inference(Section):
    kind: Literal["none", "signal", "systemd", "http", "command", "sleepd"] = "none"
    url: Url = "http://127.0.0.1:8765"
    unit: UnitName = ""
    signal: SignalName = "SIGHUP"
    pid_file: FilePath = ""
    command: list[str] = Field(default_factory=list)
    reload_url: Url = ""
    reload_body: str = ""
    health_url: Url = ""
    health_adapter_path: str = ""
    timeout_seconds: Annotated[float, Field(gt=0, le=3600)] = 60.0
    tries: Annotated[int, Field(ge=1, le=100)] = 3
    chat_url: Url = ""
    model_name: str = ""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        needed = {"signal": "pid_file", "systemd": "unit", "http": "reload_url", "command": "command", "sleepd": "url"}.get(self.kind)
        if needed and not getattr(self, needed):
            raise refuse(f"needs inference.{needed}, which is empty", "kind")
        if self.command and not self.command[0].strip():
            raise refuse("must begin with the program to run", "command")
        return self


class Serve(Section):
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8765  # 0: any free one
    capture: bool = True
    buffer: FilePath = ""
    max_new_tokens: Annotated[int, Field(ge=48)] = 256  # fewer would cut the canary answers
    device: Device = "auto"
    dtype: Dtype = "auto"
    threads: Count = 0


class Control(Section):
    socket: FilePath = ""
    max_request_bytes: Annotated[int, Field(ge=1024)] = 1_048_576


class Log(Section):
    format: Literal["auto", "console", "json", "journald"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class DirectoryOverrides(Section):
    state: FilePath = ""
    runtime: FilePath = ""
    cache: FilePath = ""


class Config(Section):
    """The whole configuration. Immutable: a reload makes a new one."""

    model: Model = Model()
    experience: Experience = Experience()
    schedule: Schedule = Schedule()
    conditions: Conditions = Conditions()
    training: Training = Training()
    gate: Gate = Gate()
    adapters: Adapters = Adapters()
    inference: Inference = Inference()
    serve: Serve = Serve()
    control: Control = Control()
    log: Log = Log()
    directories: DirectoryOverrides = DirectoryOverrides()

    def flat(self) -> dict[str, object]:
        """Every key as ``section.key``, in the order of the schema."""
        return {f"{section}.{key}": value for section, content in self.model_dump().items() for key, value in content.items()}
