"""Writes a finished comparison as a page with its data and pictures beside it. Reads one document; runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sleepd.durable import write_atomic, write_json
from sleepd.lab.chart import Panel, Series, curves_svg, matrix_svg, panels_svg, ranged
from sleepd.lab.compare import in_order, interval, shown

_FIGURES = (
    ("direct", "direct"),
    ("paraphrase", "paraphrased"),
    ("reverse", "reverse"),
    ("all_after", "all facts at the end"),
    ("bwt", "backward transfer"),
    ("forgetting", "forgetting"),
    ("known_after", "known before, at the end"),
    ("text_loss_rise", "unseen text"),
    ("kl", "KL"),
    ("leak", "leaks"),
    ("night_tokens", "tokens a night"),
)
_PAIRED = (
    ("all_after", "all facts at the end"),
    ("direct", "direct"),
    ("paraphrase", "paraphrased"),
    ("reverse", "reverse"),
    ("known_after", "known before, at the end"),
    ("text_loss_after", "loss on unseen text"),
    ("leak", "leaks"),
)


def write(document: Mapping[str, Any], folder: Path) -> list[Path]:
    """``laboratory.md`` in ``folder``, and ``laboratory/`` with the data and the pictures it shows; the files it wrote."""
    beside = folder / "laboratory"
    beside.mkdir(parents=True, exist_ok=True)
    reference = document["recipes"][document["reference"]]
    several = f"{document['reference']}, {_count(len(document['plan']['seeds']), 'seed')}"
    texts = {
        folder / "laboratory.md": page(document),
        beside / "matrix.svg": matrix_svg(reference["matrix"], several),
        beside / "curves.svg": curves_svg([one["curves"] for one in reference["per_seed"]], several),
        beside / "recipes.svg": recipes_svg(document),
    }
    for path, text in texts.items():
        write_atomic(path, text)
    write_json(beside / "comparison.json", document)
    return [*texts, beside / "comparison.json"]


def recipes_svg(document: Mapping[str, Any]) -> str:
    """All recipes night by night: what is remembered of everything told, what is kept, and what text costs."""
    recipes = in_order(document, "recipes")

    def series(name: str, key: str, start: int) -> Series:
        return Series(name, tuple(tuple(one["curves"][key]) for one in recipes[name]["per_seed"]), start)

    def rise(name: str) -> Series:
        curves = [one["curves"]["text_loss"] for one in recipes[name]["per_seed"]]
        return Series(name, tuple(tuple(100 * (v / c[0] - 1) for v in c) for c in curves), 0)

    panels = [Panel("Everything told so far", "share answered right", tuple(series(n, "everything told so far", 1) for n in recipes), 0, 1)]
    if document["recipes"][document["reference"]]["known_before"] is not None:
        known = tuple(series(name, "known beforehand", 1) for name in recipes)
        panels.append(Panel("Known before the first night", "share still known", known, 0, 1))
    panels.append(ranged("Loss on unseen text", "change against the base, %", tuple(rise(name) for name in recipes), 1.0))
    panels.append(ranged("Drift on unrelated prompts", "KL, nat per token", tuple(series(n, "kl", 0) for n in recipes), 0.02))
    return panels_svg(panels, "Recipes compared", "after night")


def page(document: Mapping[str, Any]) -> str:
    """The page as Markdown."""
    plan, machine, reference = document["plan"], document["machine"], document["reference"]
    recipes = in_order(document, "recipes")
    base = recipes[reference]
    head = f"""# The laboratory: recipes compared

{_count(plan["nights"], "night")} in a row, {_count(plan["facts"], "new fact")} a day, {_count(len(plan["seeds"]), "seed")} \
({", ".join(map(str, plan["seeds"]))}). Every recipe starts from the same base and is told the same facts in the same chats. After every
night each question is asked alone, in a fresh context, in words that were never trained. No night is told what the base knew
beforehand: that list measures forgetting and is used for nothing else.

Run it again:

```
{document["command"]}
```

An interrupted run goes on after its last night when the command is repeated with the same `--out`.

Measured on {machine["processor"]}, {_count(machine["cores"], "core")}, Python {machine["python"]}, torch {machine["torch"]}, \
transformers {machine["transformers"]}, peft {machine["peft"]}.
Data: [comparison.json](laboratory/comparison.json), with every seed, every night's verdict and the reasons of the gate.

## What each recipe reached

{_table(recipes)}

Shares are of questions or facts. *direct*, *paraphrased* and *reverse* are asked on the morning after about that day's facts; reverse
only where a value belongs to one subject. *backward transfer* is the mean change of a day's facts between their own night and the last,
*forgetting* the mean drop from their best. *unseen text* is the change of the loss on text that no night reads, *KL* in nats a token on
prompts that have nothing to do with the facts, *leaks* the share of questions about strangers that are answered with a learned value:
four strangers a fact, half of them with its subject's first name, half with its last.
{_known(base)}

![Recipes compared, night by night](laboratory/recipes.svg)

"""
    return head + _paired(document) + _own(document)


def _table(recipes: Mapping[str, Any]) -> str:
    rows = ["| recipe | " + " | ".join(title for _, title in _FIGURES) + " |", "|---" * (len(_FIGURES) + 1) + "|"]
    for name, figures in recipes.items():
        rows.append(f"| {name} | " + " | ".join(shown(figures.get(key), key) for key, _ in _FIGURES) + " |")
    return "\n".join(rows)


def _known(base: Mapping[str, Any]) -> str:
    known = base["known_before"]
    before = "" if known is None else f" Before the first night the base answers {known:.3f} of the known facts"
    return f"{before} and has a loss of {base['text_loss_before']:.4f} nats a token on the unseen text.".lstrip() if before else ""


def _paired(document: Mapping[str, Any]) -> str:
    """The differences, or nothing where one recipe was run alone."""
    if not document["paired"]:
        return ""
    rows = ["| against | " + " | ".join(title for _, title in _PAIRED) + " |", "|---" * (len(_PAIRED) + 1) + "|"]
    for name, found in in_order(document, "paired").items():
        rows.append(f"| {name} | " + " | ".join(interval(found[key]) if key in found else "-" for key, _ in _PAIRED) + " |")
    about = "\n".join(f"- **{name}**: {text}" for name, text in in_order(document, "about").items())
    limit = "as many tokens a night as ours did on the same seed" if document["budget"] == "ours" else "a given number of tokens a night"
    budgets = ", ".join(f"{tokens:,} (seed {seed})" for seed, tokens in document["tokens"].items())
    return f"""## {document["reference"]} minus the others

The difference of each seed, their mean, and its 95 % interval by Student's t over {_count(len(document["plan"]["seeds"]), "seed")}.
Of the loss and of leaks, less is better.

{chr(10).join(rows)}

The recipes:

{about}

The recipes of other systems may train at most {limit}: {budgets}. Their procedures and the sources of
their settings stand in `sleepd/lab/baselines.py`.

"""


def _own(document: Mapping[str, Any]) -> str:
    """The reference's nights in detail."""
    reference = document["reference"]
    figures = document["recipes"][reference]
    verdicts = ", ".join(f"{figures['verdicts'].count(v)} {v}" for v in dict.fromkeys(figures["verdicts"]))
    seconds = figures["night_seconds"]
    rows = ["| seed | " + " | ".join(title for _, title in _FIGURES) + " |", "|---" * (len(_FIGURES) + 1) + "|"]
    for one in figures["per_seed"]:
        rows.append(f"| {one['seed']} | " + " | ".join(shown(one.get(key), key) for key, _ in _FIGURES) + " |")
    return f"""## The nights of {reference}

Verdicts: {verdicts}. A night took {min(seconds):.0f} to {max(seconds):.0f} s and at most {figures["peak_mb"]:.0f} MB; the memory is the
highest of the process that sleeps the nights and examines them.

{chr(10).join(rows)}

![Recall of each day's facts after each night](laboratory/matrix.svg)

![What the nights did, by night](laboratory/curves.svg)
"""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
