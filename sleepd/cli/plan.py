"""What ``sleep --dry-run`` says: the experiences and facts that a cycle would be given, and whether it would run at all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from sleepd.cli import output
from sleepd.cli.history import LEDGER_FILE
from sleepd.cli.target import Target
from sleepd.errors import ExitCode

SHOWN = 10


def tell(target: Target, answer: Mapping[str, Any]) -> int:
    """Print the plan; exit status 0 when a cycle would run, 75 when not."""
    decision = answer["decision"]
    would_train = _pending(target)
    if target.json:
        output.print_json({**answer, "would_train": would_train})
    else:
        _print(answer, decision, would_train)
    return ExitCode.OK if decision["should_run"] else ExitCode.SKIPPED


def _pending(target: Target) -> list[dict[str, Any]]:
    """Usable experiences that no cycle has trained, highest salience first, as the job would hold them."""
    from sleepd.ledger import Ledger

    with Ledger.open(target.load().directories.state / LEDGER_FILE, readonly=True) as ledger:
        return [
            {
                "id": experience.id,
                "salience": experience.salience.total,
                "example": verdict.example,
                "facts": [card.quote for card in verdict.cards],
            }
            for experience, verdict in ledger.experiences.pending()
        ]


def _print(answer: Mapping[str, Any], decision: Mapping[str, Any], would_train: list[dict[str, Any]]) -> None:
    examples = sum(entry["example"] for entry in would_train)
    facts = [quote for entry in would_train for quote in entry["facts"]]
    verb = "would run now" if decision["should_run"] else "would not run now"
    click.echo(f"a {answer.get('kind') or 'light'} cycle {verb}: {decision['reason']}")
    given, told = output.plural(len(would_train), "experience"), output.plural(len(facts), "fact")
    click.echo(f"it would be given {given}: {examples:,} as examples, with {told}")
    for quote in facts[:SHOWN]:
        click.echo(f"  {quote}")
    if len(facts) > SHOWN:
        click.echo(f"  and {len(facts) - SHOWN:,} more (--json lists them all)")
    click.echo("nothing was trained")
