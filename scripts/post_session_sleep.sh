#!/usr/bin/env bash
# For the end of a session: asks the scheduler whether a sleep cycle is due, and runs it or says why not.
#
#   scripts/post_session_sleep.sh [--force]
#
#   --force   run now, whatever the schedule says; the gate still decides whether the new adapter is used
#
# Reads SLEEPD_MODEL_PATH, SLEEPD_EXPERIENCE_BUFFER and SLEEPD_CHECKPOINT_DIR; what is not set is looked up as SleepScheduler does.
# Exit status 0: a cycle ran, 75: skipped (nothing is wrong), 1: it failed. Where `sleepd run` is resident nobody needs this.
set -euo pipefail

force=0
for argument in "$@"; do
  case $argument in
    --force) force=1 ;;
    -h | --help)
      sed -n '2,/^set /s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    *)
      printf 'sleepd: unknown argument %s\nremedy: see %s --help\n' "$argument" "$0" >&2
      exit 2
      ;;
  esac
done

. "$(dirname -- "${BASH_SOURCE[0]}")/_env"
exec "$python" - "$force" <<'PYTHON'
import os
import sys

from sleepd import SleepScheduler
from sleepd.errors import ExitCode, SleepdError


def main(force: bool) -> int:
    try:
        scheduler = SleepScheduler(
            model_path=os.environ.get("SLEEPD_MODEL_PATH"),
            experience_buffer_path=os.environ.get("SLEEPD_EXPERIENCE_BUFFER"),
            checkpoint_dir=os.environ.get("SLEEPD_CHECKPOINT_DIR"),
        )
        should_run, reason = scheduler.should_run_sleep_cycle()
        print(f"Should run: {should_run}, reason: {reason}", flush=True)
        if not should_run and not force:
            print("Skipped. --force runs a cycle all the same.")
            return ExitCode.SKIPPED
        results = scheduler.run_sleep_cycle(force=True)
    except SleepdError as error:
        print(f"sleepd: {error.message}", file=sys.stderr)
        if error.remedy:
            print(f"remedy: {error.remedy}", file=sys.stderr)
        return ExitCode.SKIPPED if error.exit_code is ExitCode.SKIPPED else ExitCode.FAILED
    print(f"Sleep cycle {results['sleep_cycle']}: {results['num_experiences']} experiences, final loss {results['final_loss']}")
    return ExitCode.OK


raise SystemExit(main(sys.argv[1] == "1"))
PYTHON
