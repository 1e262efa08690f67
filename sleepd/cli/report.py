"""``sleepd report [N]``: what a cycle learned, what it did not, and why the gate said what it said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from sleepd.cli import history, output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target

Report = Mapping[str, Any]
Rows = list[list[str]]
GRADUATED = "graduated"


@click.command(short_help="What a cycle learned and what it did not.")
@click.argument("number", metavar="[N]", required=False, type=click.IntRange(min=1))
@target_options
@json_option
@click.pass_obj
def command(target: Target, number: int | None) -> None:
    """The report of cycle N, or of the last one: before and after, the gate, what stuck and what did not."""
    document = history.ask(target, "report", {} if number is None else {"number": number})
    if target.json:
        output.print_json(document)
        return
    click.echo(f"{click.style(str(document['id']), bold=True)} ({document['kind']}): {output.verdict(document['verdict'])}")
    for reason in document["reasons"]:
        click.echo(f"  {reason}")
    report = document.get("report")
    if not report:
        click.echo("It ended before anything was evaluated, so there is nothing to report.")
        return
    output.pairs(_head(report, document.get("verification")))
    _section("before and after", ["", "base", "adapter"], _before_and_after(report))
    _section("gate", ["", "check", "numbers"], _gate(report))
    _section("facts", ["said", "about", "status", ""], _facts(report))
    _section(
        "set aside", ["entry", "reason"], [[str(row.get("id", "")), str(row.get("reason", ""))] for row in report.get("quarantined") or []]
    )


def _section(title: str, header: list[str], rows: Rows) -> None:
    if rows:
        click.echo(f"\n{click.style(title, bold=True)}")
        output.table(header, rows)


def _head(report: Report, verification: Any) -> list[tuple[str, str]]:
    training, timings = report.get("training") or {}, report.get("timings") or {}
    rows = [("started", f"{output.local(report['started_at'])}, asked for by {report['requested_by']}, took {report['seconds']:,.0f} s")]
    if training:
        learned = f"{output.plural(training.get('examples') or 0, 'example')} and {output.plural(training.get('cards') or 0, 'fact')}"
        rows.append(
            (
                "training",
                f"{learned}, {output.plural(training.get('epochs') or 0, 'epoch')}, final loss {_decimal(training.get('final_loss'))}",
            )
        )
    if timings:
        rows.append(("time", ", ".join(f"{stage} {seconds:,.1f} s" for stage, seconds in timings.items())))
    if report.get("peak_memory_mb"):
        rows.append(("memory", f"{report['peak_memory_mb']:,.0f} MB at most"))
    if report.get("refusal"):
        rows.append(("refused", str(report["refusal"])))
    if verification:
        rows.append(("in service", str(verification.get("detail") or "verified")))
    return rows


def _before_and_after(report: Report) -> Rows:
    """Each measure on the base model and on the candidate. What was not measured has no row."""
    figures, evaluation = report.get("figures") or {}, report.get("evaluation") or {}
    rows: Rows = []
    if figures.get("new_cards"):
        total = figures["new_cards"]
        rows.append(["new facts recalled", f"{figures['new_recalled_before']} of {total}", f"{figures['new_recalled_after']} of {total}"])
    if figures.get("old_cards"):
        total = figures["old_cards"]
        rows.append(
            ["earlier facts recalled", f"{figures['old_recalled_best']} of {total} at best", f"{figures['old_recalled_after']} of {total}"]
        )
    if figures.get("unrelated_prompts"):
        rows.append(["answers as before", "", f"{figures['unrelated_same']} of {figures['unrelated_prompts']}"])
    text, collapse = evaluation.get("text") or {}, evaluation.get("collapse") or {}
    if text.get("tokens"):
        rows.append(["unseen text, nat a token", *(_decimal(_per_token(text, side)) for side in ("base", "candidate"))])
    measures: list[tuple[str, str, Callable[[Any], str]]] = [
        ("different three-word runs", "distinct3", output.share),
        ("repeated replies", "repeated_share", output.share),
        ("words in a reply", "mean_words", _decimal),
        ("questions in a reply", "questions_per_reply", _decimal),
    ]
    for label, key, shown in measures:
        base, candidate = ((collapse.get(side) or {}).get(key) for side in ("base", "candidate"))
        if base is not None and candidate is not None:
            rows.append([label, shown(base), shown(candidate)])
    return rows


def _per_token(text: Report, side: str) -> float:
    tokens: list[float] = text["tokens"]
    losses: list[float] = text[side]
    return sum(loss * count for loss, count in zip(losses, tokens, strict=True)) / sum(tokens)


def _gate(report: Report) -> Rows:
    return [
        [output.yes_no(check["ok"]), str(check["name"]), str(check["detail"])] for check in (report.get("gate") or {}).get("checks", [])
    ]


def _facts(report: Report) -> Rows:
    """What stuck first, then what did not, with the child's reason. One sentence may hold several facts."""
    cards = sorted(report.get("cards") or [], key=lambda card: (card.get("status") != GRADUATED, str(card.get("status"))))
    return [
        [
            str(card.get("quote", "")),
            f"{card.get('subject', '')}, {card.get('relation', '')}",
            _status(str(card.get("status", ""))),
            str(card.get("reason") or ""),
        ]
        for card in cards
    ]


def _status(status: str) -> str:
    return click.style(status, fg="green" if status == GRADUATED else "yellow")


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
