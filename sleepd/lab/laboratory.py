"""Sets up and runs the laboratory's nights over seeds: what is told, who examines, how it sleeps, what is written down.

A run goes on where it was interrupted: every night is written down when it is over, and a finished seed is only read.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

from sleepd.base_model import identify
from sleepd.config.schema import Config
from sleepd.durable import sha256_file, write_atomic, write_json
from sleepd.errors import ExitCode, SleepdError
from sleepd.lab import diary as diaries
from sleepd.lab import facts_file
from sleepd.lab.baselines import OtherNights
from sleepd.lab.brought import brought_story, known_wordings
from sleepd.lab.chart import curves_svg, matrix_svg
from sleepd.lab.days import Day
from sleepd.lab.diary import Diary, Night
from sleepd.lab.figures import over_seeds, seed_figures
from sleepd.lab.forget import forget
from sleepd.lab.measure import Examiner, Questions, Standing
from sleepd.lab.nights import Memory, ProductionNights
from sleepd.lab.pace import Pace
from sleepd.lab.probes import Probes
from sleepd.lab.recall import known_facts, mixed_wordings
from sleepd.lab.recipes import RECIPES
from sleepd.lab.smalltalk import CHAT
from sleepd.lab.story import Story, world_story
from sleepd.lab.world import PEOPLE_PER_SEED

KNOWN_ASKED = 200
UNRELATED_ASKED = 100
Say = Callable[[str], None]


class PlanError(SleepdError):
    """What was asked for cannot be run."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Plan:
    """What to run. ``out`` keeps every night's job and result, ``cache`` what nights and recipes share.

    ``brought``: a facts file to tell from instead of the synthetic world. ``tokens``: at most so many are trained a night by
    the recipes of other systems; 0 leaves them their own number.
    """

    nights: int
    facts: int
    seeds: tuple[int, ...]
    model: Path
    out: Path
    cache: Path
    recipe: str = "ours"
    scenario: str = "plain"
    brought: Path | None = None
    tokens: int = 0

    def identity(self, seed: int) -> dict[str, Any]:
        """What a diary must agree on to be gone on with."""
        return {
            "recipe": self.recipe,
            "scenario": self.scenario,
            "nights": self.nights,
            "facts": self.facts,
            "seed": seed,
            "model": identify(self.model, self.cache / "base_models.json").sha256,
            "facts_file": sha256_file(self.brought) if self.brought else None,
            "tokens": self.tokens if not RECIPES[self.recipe].preset else 0,
        }


class Sleeper(Protocol):
    """One recipe at work on one seed."""

    def sleep(self, number: int, day: Day) -> Night: ...
    def examine(self, examiner: Examiner, asked: Sequence[Probes]) -> Standing: ...
    def save(self) -> dict[str, Any]: ...
    def restore(self, saved: Mapping[str, Any], lived: Sequence[Day]) -> None: ...


class Setting:
    """One seed's days and questions, shared by all recipes. The model is loaded when the first night is examined.

    ``notes`` (among the figures) and ``remarks`` (as sentences): what their reader should know of how the days were made.
    """

    def __init__(self, plan: Plan, seed: int) -> None:
        self.model = plan.model
        file = facts_file.load(plan.brought) if plan.brought else None
        known = known_facts(plan.model) if (plan.model / "known.jsonl").exists() else []
        self.notes: dict[str, Any] = {}
        self.remarks: list[str] = []
        if file is None:
            self.story = world_story(seed, plan.nights, plan.facts, known, plan.scenario)
        else:
            self.story, reading = brought_story(file, seed, plan.nights, plan.facts)
            self.notes = {"facts_told": self.story.ends[-1], "cards": asdict(reading)}
            self.remarks = [str(reading), *([f"not read, for nothing here is called so: {', '.join(file.unread)}"] if file.unread else [])]
        asked = known_wordings(file.known, seed) if file and file.known else mixed_wordings(known, seed)[:KNOWN_ASKED]
        self.questions = Questions(
            known=tuple(asked),
            unrelated=tuple(dict.fromkeys(question for question, _ in CHAT))[:UNRELATED_ASKED],
            texts=(file.text if file else ()) or tuple(held_out(plan.model).read_text(encoding="utf-8").splitlines()),
        )

    @cached_property
    def examiner(self) -> Examiner:
        return Examiner(self.model, self.questions)


def held_out(model: Path) -> Path:
    """Text that no night trains: the model's own where it brings some, else the project's."""
    own = model / "heldout.txt"
    return own if own.exists() else Path(str(files("sleepd.night") / "data" / "heldout.txt"))


def configuration(preset: str, model: Path) -> Config:
    """Production's defaults, with the model's own unseen text where it brings some."""
    config = Config()
    training = {"preset": preset, "heldout_text": str(held_out(model))}
    return config.model_copy(update={"training": config.training.model_copy(update=training)})


def sleeper(plan: Plan, setting: Setting, folder: Path) -> Sleeper:
    """The recipe of ``plan``, ready for its first night."""
    recipe, story = RECIPES[plan.recipe], setting.story
    if not recipe.preset:
        examiner, tokens = setting.examiner, plan.tokens or sys.maxsize
        return OtherNights(recipe.name, plan.model, folder, story.seed, story.wordings, examiner.chat, examiner.pad, tokens)
    memory = Memory(wordings=story.wordings)
    config = configuration(recipe.preset, plan.model)
    return ProductionNights(config, plan.model, plan.cache, folder, story.seed, memory, recipe.ablate, recipe.gated)


def run_seed(plan: Plan, setting: Setting, say: Say, pace: Pace) -> dict[str, Any]:
    """All nights of one seed, from where its diary ends; its figures and pictures are also left in ``out``."""
    story = setting.story
    folder = plan.out / f"seed_{story.seed}"
    folder.mkdir(parents=True, exist_ok=True)
    diary = diaries.load(folder, plan.identity(story.seed))
    say(f"seed {story.seed}, {plan.recipe}: {story.ends[-1]} facts in {plan.nights} nights, {len(diary.nights)} of them finished before")
    for remark in setting.remarks:
        say(f"  {remark}")
    if len(diary.nights) < plan.nights or diary.extra is None:
        asleep = sleeper(plan, setting, folder)
        if diary.nights:
            asleep.restore(diary.memory, story.days[: len(diary.nights)])
        run_nights(story, setting, asleep, diary, folder, say, pace)
        diary.extra = dict(setting.notes)
        if plan.scenario == "forget" and isinstance(asleep, ProductionNights):
            diary.extra |= forget(asleep, setting.examiner, plan.nights + 1, story.seed)
        diaries.save(folder, diary)
    figures = seed_figures(story, diary.nights, diary.standings, dict(diary.extra or {}))
    leave(folder, figures, f"{plan.recipe}, seed {story.seed}")
    return figures


def run_nights(story: Story, setting: Setting, asleep: Sleeper, diary: Diary, folder: Path, say: Say, pace: Pace) -> None:
    """Live the days and sleep the nights that the diary does not hold yet; after each, examine everything told so far."""
    for number in range(len(diary.nights) + 1, len(story.days) + 1):
        pace.start()
        if not diary.standings:
            diary.standings.append(setting.examiner.examine(None, story.probes))
        night = asleep.sleep(number, story.days[number - 1])
        standing = asleep.examine(setting.examiner, story.asked_after(number))
        diary.nights.append(night)
        diary.standings.append(standing)
        diary.memory = asleep.save()
        diaries.save(folder, diary)
        say(line(night, standing, diary.standings[0], story, pace.finish()))


def line(night: Night, standing: Standing, base: Standing, story: Story, left: str) -> str:
    """One night in one line."""
    start, end = story.ends[night.number - 1], story.ends[night.number]
    known = "" if standing.known is None else f"  known {standing.known:.3f}"
    verdict = night.verdict if night.verdict == "accepted" or not night.reasons else f"{night.verdict}: {'; '.join(night.reasons)}"
    return (
        f"night {night.number:2d}  last {standing.recall(start, end):.2f}  all {standing.recall(0, end):.2f}{known}"
        f"  text {standing.text_loss / base.text_loss - 1:+.2%}  kl {standing.kl:.4f}  leak {standing.leak:.3f}"
        f"  {night.seconds:.0f} s  {night.peak_mb:.0f} MB  {'deep, ' if night.kind == 'deep' else ''}{verdict}  ({left})"
    )


def leave(folder: Path, figures: Mapping[str, Any], title: str) -> None:
    """Figures and pictures as files."""
    write_json(folder / "figures.json", figures)
    write_atomic(folder / "matrix.svg", matrix_svg(figures["matrix"], title))
    each = figures.get("per_seed", [figures])
    write_atomic(folder / "curves.svg", curves_svg([one["curves"] for one in each], title))


def finished(plan: Plan, seed: int) -> int:
    """How many nights of a seed its diary holds."""
    path = plan.out / f"seed_{seed}" / diaries.NAME
    return len(json.loads(path.read_text(encoding="utf-8"))["nights"]) if path.exists() else 0


def check(plan: Plan) -> None:
    """Refuse what cannot be run, before anything is. Raises PlanError, FactsFileError."""
    if plan.nights * plan.facts > PEOPLE_PER_SEED:
        many = f"{plan.nights} nights of {plan.facts} facts need {plan.nights * plan.facts} people"
        raise PlanError(f"{many}; one seed has {PEOPLE_PER_SEED}", "run fewer nights, or fewer facts a night")
    if plan.brought is not None:
        facts_file.load(plan.brought)
        if plan.scenario == "corrections":
            raise PlanError("a facts file brings one value a fact, so nothing can be corrected", "leave out --facts-file or --scenario")
    if plan.scenario == "forget" and not RECIPES[plan.recipe].preset:
        raise PlanError(f"{plan.recipe} keeps no cards, so it has nothing to forget", "choose a recipe that is a night of ours")


def run(plan: Plan, say: Say) -> dict[str, Any]:
    """All seeds; the document of ``sleepd lab nights --json``."""
    check(plan)
    plan.cache.mkdir(parents=True, exist_ok=True)
    pace = Pace(sum(plan.nights - finished(plan, seed) for seed in plan.seeds))
    figures = over_seeds([run_seed(plan, Setting(plan, seed), say, pace) for seed in plan.seeds])
    several = f"mean of {len(plan.seeds)} seeds" if len(plan.seeds) > 1 else f"seed {plan.seeds[0]}"
    leave(plan.out, figures, f"{plan.recipe}, {several}")
    return figures
