"""Reads a job directory into frozen values. The child reads nothing else of ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sleepd import fixed_items
from sleepd.cardlife import Life
from sleepd.errors import BadJobError, ConfigError
from sleepd.fixed_items import FixedItem
from sleepd.records import Card, Experience, Salience, ScreenVerdict

FORMAT = 1


@dataclass(frozen=True)
class KnownCard:
    """A card of an earlier night. ``best``: it was recalled after some night; ``last``: after the last one.

    ``due``: it is to be asked for, and replayed, tonight. ``misses``: nights in a row that taught it and did not find it
    recalled.
    """

    card: Card
    best: bool
    last: bool | None
    probes: int
    due: bool = True
    misses: int = 0

    @property
    def life(self) -> Life:
        return Life(self.card.status, self.misses)


@dataclass(frozen=True)
class Job:
    """Everything one night needs. ``training`` and ``gate`` are the frozen sections of the configuration.

    ``said``: cards of the last days' exchanges that were trained already, in no order. A job without them is whole too.
    ``forget``: facts that people asked to forget; a deep night must end unable to say them.
    """

    directory: Path
    id: str
    cycle: int
    kind: str
    model_path: Path
    base_sha256: str
    device: str
    dtype: str
    threads: int
    seed: int
    training: Mapping[str, Any]
    gate: Mapping[str, Any]
    living_adapter: Path | None
    cache_dir: Path
    canary_tokens: int
    min_salience: float
    experiences: tuple[tuple[Experience, ScreenVerdict], ...]
    cards: tuple[KnownCard, ...]
    created: str | None = None
    said: tuple[Card, ...] = ()
    identity: tuple[FixedItem, ...] = ()
    general: tuple[FixedItem, ...] = ()
    vetoed_dreams: frozenset[str] = frozenset()
    forget: tuple[Card, ...] = ()
    wordings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def checkpoint_dir(self) -> Path:
        return self.directory / "checkpoint"

    @property
    def result_dir(self) -> Path:
        return self.directory / "result"


def job_id(document: Mapping[str, Any]) -> str:
    """The id of a job is the hash of its content without the id."""
    content = json.dumps({k: v for k, v in document.items() if k != "id"}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def card_from(value: Mapping[str, Any]) -> Card:
    names = {field.name for field in fields(Card)}
    return Card(**{k: v for k, v in value.items() if k in names})


def _experience_from(value: Mapping[str, Any]) -> Experience:
    rest = {k: v for k, v in value.items() if k not in ("salience", "tool_calls")}
    return Experience(salience=Salience(**value["salience"]), tool_calls=tuple(value.get("tool_calls") or ()), **rest)


def _fixed(directory: Path, name: fixed_items.Name) -> tuple[FixedItem, ...]:
    """The job's own items, or the bundled ones when it brings none."""
    own = directory / f"{name}.jsonl"
    return fixed_items.read(own if own.exists() else fixed_items.source("", name), name)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open(encoding="utf-8") as handle:
        for number, line in enumerate(handle, 1):
            try:
                value = json.loads(line)
            except ValueError as error:
                raise BadJobError(
                    f"{path} line {number} is not JSON: {error}", "the job directory is damaged; request a new cycle"
                ) from error
            yield value


def load(directory: Path) -> Job:
    """Read and check a job. Raises BadJobError naming the file and what is wrong."""
    path = directory / "job.json"
    remedy = "the job directory is damaged or of another version; request a new cycle"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document.get("format") != FORMAT:
            raise BadJobError(f"{path}: format is {document.get('format')!r}, this sleepd reads {FORMAT}", remedy)
        if document["id"] != job_id(document):
            raise BadJobError(f"{path}: its id {document['id']} does not match its content", remedy)
        experiences = tuple(
            (
                _experience_from(row["experience"]),
                ScreenVerdict(
                    row["experience"]["id"],
                    tuple(row["verdict"]["reasons"]),
                    tuple(card_from(card) for card in row["verdict"]["cards"]),
                    row["verdict"].get("trimmed"),
                ),
            )
            for row in _lines(directory / "experiences.jsonl")
        )
        cards = tuple(
            KnownCard(
                card_from(row),
                bool(row.get("best")),
                row.get("last"),
                int(row.get("probes", 0)),
                bool(row.get("due", True)),
                int(row.get("misses", 0)),
            )
            for row in _lines(directory / "cards.jsonl")
        )
        living = document.get("living_adapter")
        return Job(
            directory=directory,
            id=document["id"],
            cycle=int(document["cycle"]),
            kind=document["kind"],
            model_path=Path(document["model"]["path"]),
            base_sha256=document["model"]["sha256"],
            device=document["device"],
            dtype=document["dtype"],
            threads=int(document["threads"]),
            seed=int(document["seed"]),
            training=document["training"],
            gate=document["gate"],
            living_adapter=Path(living) if living else None,
            cache_dir=Path(document["cache_dir"]),
            canary_tokens=int(document["canary_tokens"]),
            min_salience=float(document["min_salience"]),
            experiences=experiences,
            cards=cards,
            created=document.get("created"),
            said=tuple(card_from(row) for row in _lines(directory / "said.jsonl")),
            identity=_fixed(directory, "identity"),
            general=_fixed(directory, "general"),
            wordings={str(row["card_id"]): tuple(map(str, row["train"])) for row in _lines(directory / "wordings.jsonl")},
            vetoed_dreams=frozenset(str(row["id"]) for row in _lines(directory / "vetoed_dreams.jsonl")),
            forget=tuple(card_from(row) for row in _lines(directory / "forget.jsonl")),
        )
    except ConfigError as error:
        raise BadJobError(error.message, remedy) from error
    except OSError as error:
        raise BadJobError(f"{path} cannot be read: {error.strerror}", remedy) from error
    except (KeyError, TypeError, ValueError) as error:
        raise BadJobError(f"{directory} is no complete job: {type(error).__name__}: {error}", remedy) from error
