"""The demonstration: a day and a night of one small model, with the real daemon and the real service.

Asks the seedling about people it has never heard of, tells it about them in ordinary chat, waits for the
night, and asks again in other words. Nothing is faked: it speaks HTTP to the service and reads
`sleepd status`, as a user would.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from sleepd.lab import world
from sleepd.lab.client import Reply
from sleepd.lab.running import Running
from sleepd.lab.traffic import Traffic
from sleepd.lab.world import Fact
from sleepd.night import wordings
from sleepd.night.score import recalled
from sleepd.night.wordings import Wording

PEOPLE = 10
KNOWN_ASKED = 100
DEADLINE_SECONDS = 600.0
ASIDES = ("How are you today?", "What is the opposite of hot?", "It is raining again.", "What do you think about music?")


@dataclass(frozen=True)
class Asked:
    """One question with what came back."""

    wording: Wording
    reply: Reply

    @property
    def right(self) -> bool:
        return recalled(self.reply.text, self.wording.accept)


class Narrator:
    """Prints what happens, with the seconds since the start; silent for ``--json``."""

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet
        self.started = time.monotonic()

    def say(self, text: str = "") -> None:
        if not self.quiet:
            seconds = f"{time.monotonic() - self.started:6.1f} s  " if text else ""
            print(seconds + text, flush=True)


class Demo:
    """What is done to the ``running`` service and daemon, and asked of them."""

    def __init__(self, running: Running, seed: int, narrator: Narrator) -> None:
        self.running, self.client, self.narrator = running, running.client, narrator
        self.rng = random.Random(f"demo-{seed}")
        self.facts = world.facts_about(self.rng, world.people(seed, PEOPLE))

    def ask(self, forms: Sequence[Wording]) -> list[Asked]:
        """Ask each in a fresh context, with capture off, so that no question becomes an experience."""
        return [Asked(form, self.client.ask(form.question, capture=False)) for form in forms]

    def tell(self) -> None:
        """Mention every fact in passing, in a few conversations with small talk between."""
        for start in range(0, len(self.facts), 3):
            history: list[dict[str, str]] = []
            lines = [world.statement(fact, self.rng) for fact in self.facts[start : start + 3]]
            lines.insert(1, self.rng.choice(ASIDES))
            for line in lines:
                history.append({"role": "user", "content": line})
                reply = self.client.chat(history, capture=True)
                history.append({"role": "assistant", "content": reply.text})
                self.narrator.say(f"you: {line}    model: {reply.text}")

    def night(self) -> dict[str, Any]:
        """Follow the daemon until its first cycle has a verdict."""
        run_log = self.running.home / "run.log"
        deadline = time.monotonic() + DEADLINE_SECONDS
        last = ""
        while time.monotonic() < deadline:
            status = self.running.status()
            if status is None:
                raise SystemExit(f"the daemon stopped; its log is {run_log}:\n{run_log.read_text()[-2000:]}")
            line = describe(status)
            if line != last:
                self.narrator.say(line)
                last = line
            if status["last_cycle"] is not None and status["cycle"] is None:
                return status
            time.sleep(1.0)
        raise SystemExit(f"no night was finished within {DEADLINE_SECONDS:.0f} s; see {run_log}")


def describe(status: dict[str, Any]) -> str:
    """One line of what the daemon is doing."""
    cycle = status["cycle"]
    if cycle is not None:
        progress = cycle["progress"] or {}
        percent = f", {10 * (progress['percent'] // 10):.0f} % of the night" if progress.get("percent") is not None else ""
        doing = f": {progress['message']}" if progress.get("message") else ""
        return f"{cycle['id']}: {str(cycle['stage']).lower()}{percent}{doing}"
    if status["last_cycle"] is not None:
        return f"{status['last_cycle']['id']}: {status['last_cycle']['verdict']}"
    return f"daemon: {status['decision']['reason']}"


def share(asked: Sequence[Asked]) -> float:
    return round(sum(a.right for a in asked) / len(asked), 4)


def known_wordings(model: Path, count: int) -> list[Wording]:
    """Questions about ``count`` facts that the seedling learned when it was made."""
    rng = random.Random("known facts of the demo")
    facts = [Fact(**json.loads(line)) for line in (model / "known.jsonl").read_text().splitlines()]
    return [rng.choice(wordings.forward(f.subject, f.relation, f.value, "test")) for f in rng.sample(facts, count)]


def table(before: Sequence[Asked], after: Sequence[Asked]) -> str:
    """Question, before, after; one line each."""
    rows = [("question", "before", "after")]
    rows += [(b.wording.question, b.reply.text, ("+ " if a.right else "- ") + a.reply.text) for b, a in zip(before, after, strict=True)]
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    lines = [f"{q:<{widths[0]}}  {b:<{widths[1]}}  {a}" for q, b, a in rows]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def run(home: Path, seed: int, narrator: Narrator) -> dict[str, Any]:
    """The whole demonstration; returns the figures of ``--json``."""
    running = Running(home, Path(str(files("sleepd.lab") / "seedling")))
    demo = Demo(running, seed, narrator)
    try:
        narrator.say("starting the inference service and the daemon (its clock says night)")
        running.start()
        forms = [
            next(w for w in wordings.forward(f.subject, f.relation, f.value, "test") if w.kind == kind)
            for f in demo.facts
            for kind in ("direct", "indirect")
        ]
        known = known_wordings(running.model, KNOWN_ASKED)
        narrator.say(f"asking {len(forms)} questions about {PEOPLE} people it has never heard of, and {KNOWN_ASKED} about people it knows")
        before, known_before = demo.ask(forms), demo.ask(known)
        narrator.say(f"it answers {share(before):.0%} of the first and {share(known_before):.0%} of the second")
        traffic = Traffic("127.0.0.1", running.port, [w.question for w in known[:20]])
        narrator.say("a second client keeps asking other questions from now on")
        traffic.start()
        demo.tell()
        night_started = time.monotonic()
        narrator.say("now it is left alone; the daemon notices what was said, and decides")
        status = demo.night()
        night_seconds = time.monotonic() - night_started
        after, known_after = demo.ask(forms), demo.ask(known)
        counts = traffic.stop(running.client)
        health = running.client.health() or {}
        figures = {
            "recall_before": share(before),
            "recall_after": share(after),
            "old_recall_before": share(known_before),
            "old_recall_after": share(known_after),
            "verdict": status["last_cycle"]["verdict"],
            "active": status["active"]["id"] if status["active"] else None,
            "served": health.get("adapter_id"),
            "requests": counts.requests,
            "failed_requests": counts.failed + counts.wrong_adapter,
            "night_seconds": round(night_seconds, 1),
            "daemon_rss_mb": running.daemon_rss_mb(),
        }
        narrator.say("asking again in fresh contexts, with capture off")
        narrator.say()
        if not narrator.quiet:
            print(table(before[1::2], after[1::2]))
            print(summary(figures, counts.wrong_adapter, status["last_cycle"]["reasons"]))
        return figures
    finally:
        running.close()


def summary(figures: dict[str, Any], wrong_adapter: int, reasons: Sequence[str]) -> str:
    lines = [
        "",
        f"new facts, wordings that were never trained   {figures['recall_before']:.0%} -> {figures['recall_after']:.0%}",
        f"{KNOWN_ASKED} facts it knew before                       {figures['old_recall_before']:.0%} -> {figures['old_recall_after']:.0%}",
        f"the gate said                                 {figures['verdict']}" + "".join(f"\n    {r}" for r in reasons),
        f"adapter active / served                       {figures['active']} / {figures['served']}",
        f"requests during the night                     {figures['requests']}, {figures['failed_requests']} failed"
        f" ({wrong_adapter} from the wrong adapter)",
        f"the night took                                {figures['night_seconds']} s",
        f"the resident daemon uses                      {figures['daemon_rss_mb']} MB",
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="scripts/demo", description="Tell a small model about ten people, let it sleep, and ask again.")
    parser.add_argument("--json", action="store_true", help="print one JSON line with the figures and nothing else")
    parser.add_argument("--seed", type=int, default=7, help="which ten people (default 7)")
    parser.add_argument("--keep", type=Path, help="work in this folder and keep it: state, logs, adapters")
    args = parser.parse_args(argv)
    home = args.keep or Path(tempfile.mkdtemp(prefix="sleepd-demo-"))
    home.mkdir(parents=True, exist_ok=True)
    home = home.resolve()
    os.environ["PYTHONUNBUFFERED"] = "1"
    narrator = Narrator(args.json)
    try:
        figures = run(home, args.seed, narrator)
    finally:
        if args.keep is None:
            shutil.rmtree(home, ignore_errors=True)  # a leftover temporary folder does no harm
    if args.json:
        print(json.dumps(figures))
    else:
        print(f"{'the demonstration took':<45} {time.monotonic() - narrator.started:.0f} s")
    return 0 if figures["verdict"] == "committed" else 1


if __name__ == "__main__":
    sys.exit(main())
