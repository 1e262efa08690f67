#!/usr/bin/env bash
# For the end of a session: runs a sleep cycle if one is due, or says why not. Where `sleepd run` is resident, nobody needs this.
#
#   scripts/post_session_sleep.sh [--force] [--model-path DIR] [--experience-buffer FILE] [--checkpoint-dir DIR]
#
#   --force   run a cycle now, whatever the schedule says; the gate still decides whether its adapter is used
#
# Paths that are not given come from the sleepd configuration. Exit status 0: a cycle ran, 75: skipped, 1: it failed, 2: wrong arguments.
set -euo pipefail
. "$(dirname -- "${BASH_SOURCE[0]}")/_env"

force=()
paths=()
for argument in "$@"; do
  case $argument in
    --force) force=(--force) ;;
    -h | --help) sed -n '/^# For/,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; exit 0 ;;
    *) paths+=("$argument") ;;
  esac
done

decided=0
"$python" -m sleepd.api --check "${paths[@]}" || decided=$?
if [ "$decided" -ne 0 ] && [ "$decided" -ne 75 ]; then exit "$decided"; fi
if [ "$decided" -eq 75 ] && [ "${#force[@]}" -eq 0 ]; then
  echo "Skipped. With --force a cycle runs all the same."
  exit 75
fi
exec "$python" -m sleepd.api "${force[@]}" "${paths[@]}"
