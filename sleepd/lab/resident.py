"""Measures what the resident part costs: reading a large buffer, one entry more, an idle daemon, a status."""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sleepd.experience.ingest import Ingestor
from sleepd.experience.screen import Screen, ScreenLimits
from sleepd.lab import world
from sleepd.ledger import Ledger

HEAVY = ("libtorch", "/numpy/", "/transformers/", "/peft/")


def entries(count: int) -> list[dict[str, Any]]:
    """Different exchanges of about a hundred words, as a talkative model leaves them."""
    rng = random.Random("entries")
    words = [world.syllables(n).lower() for n in range(3000)]
    made = []
    for number in range(count):
        prompt, reply = " ".join(rng.choices(words, k=12)) + "?", " ".join(rng.choices(words, k=100)).capitalize() + "."
        made.append(
            {
                "id": hashlib.sha256(f"{prompt}|{reply}".encode()).hexdigest()[:16],
                "prompt": prompt,
                "response": reply,
                "salience": dict.fromkeys(("surprise", "novelty", "arousal", "reward", "conflict", "total"), 0.7),
                "session": number // 10,
                "timestamp": "2026-02-01T10:00:00",
            }
        )
    return made


def ingest(folder: Path, count: int) -> dict[str, float]:
    """CPU seconds of the first reading, and of one entry more after the whole file was rewritten."""
    all_of_them = entries(count + 1)
    buffer = folder / "buffer.json"
    buffer.write_text(json.dumps(all_of_them[:-1], indent=2))
    with Ledger.open(folder / "ledger.db") as ledger:
        ingestor = Ingestor(ledger, Screen(ScreenLimits()))
        started = time.process_time()
        assert ingestor.ingest(buffer, datetime.now(UTC)).added == count
        first = time.process_time() - started
        buffer.write_text(json.dumps(all_of_them, indent=2))
        started, wall = time.process_time(), time.monotonic()
        assert ingestor.ingest(buffer, datetime.now(UTC)).added == 1
        again, wall = time.process_time() - started, time.monotonic() - wall
    return {"entries": count, "first_cpu_s": round(first, 2), "one_more_s": round(wall, 3), "one_more_share": round(again / first, 5)}


def daemon(folder: Path) -> dict[str, Any]:
    """An idle `sleepd run` with 1,000 experiences: its memory, what it has loaded, and how long a status takes."""
    (folder / "thousand.json").write_text(json.dumps(entries(1000)))
    config = folder / "sleepd.toml"
    directories = "".join(f'{name} = "{folder}/{name}"\n' for name in ("state", "runtime", "cache"))
    config.write_text(f'[experience]\nbuffers = ["{folder}/thousand.json"]\n[directories]\n{directories}[log]\nformat = "json"\n')
    sleepd = [sys.executable, "-m", "sleepd", "-c", str(config)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*sleepd, "run"], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            done = subprocess.run([*sleepd, "status", "--json"], capture_output=True, text=True, check=False)
            if done.returncode == 0 and json.loads(done.stdout)["totals"]["experiences"] == 1000:
                break
            time.sleep(0.3)
        else:
            raise SystemExit(f"the daemon did not read its buffer within 60 s:\n{(folder / 'log').read_text()[-2000:]}")
        time.sleep(5)  # what reading took is given back to the system first
        status = Path(f"/proc/{process.pid}/status").read_text()
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        rss = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))) / 1024
        bare, full = (best_of([sys.executable, "-c", "pass"]), best_of([*sleepd, "status"]))
        version = best_of([sys.executable, "-m", "sleepd", "--version"])
    finally:
        process.terminate()
        process.wait(30)
    return {
        "daemon_rss_mb": round(rss, 1),
        "heavy_modules": [name for name in HEAVY if name in maps],
        "status_ms_over_python": round(1000 * (full - bare)),
        "version_ms_over_python": round(1000 * (version - bare)),
    }


def best_of(command: list[str], times: int = 7) -> float:
    """The shortest wall time of several runs, in seconds."""
    taken = []
    for _ in range(times):
        started = time.monotonic()
        subprocess.run(command, capture_output=True, check=True)
        taken.append(time.monotonic() - started)
    return min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/measure", description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000, help="entries in the large buffer (default 100000; over a minute)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sleepd-measure-") as scratch:
        print(json.dumps({**daemon(Path(scratch)), **ingest(Path(scratch), args.entries)}))


if __name__ == "__main__":
    main()
