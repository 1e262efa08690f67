"""The child of one cycle: ``python -m sleepd.night JOB``. Its exit code is its verdict on the job."""

from __future__ import annotations

import sys
from pathlib import Path

from sleepd.errors import BadDataError, BadJobError, ChildExit, ModelError
from sleepd.night.progress import Reporter, StopRequested

_OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "not enough memory")


def main(argv: list[str]) -> int:
    """Run the job in ``argv[0]``. Progress goes to stdout as JSON lines, everything else to stderr."""
    if len(argv) != 1:
        print("usage: python -m sleepd.night JOB_DIRECTORY", file=sys.stderr)
        return ChildExit.BAD_JOB
    progress, sys.stdout = sys.stdout, sys.stderr  # a library that prints must not garble the progress lines
    reporter = Reporter(progress)
    reporter.catch_sigterm()
    try:
        from sleepd.night import job as jobs
        from sleepd.night import run as night
        from sleepd.night.base import quiet_libraries

        quiet_libraries()
        result = night.run(jobs.load(Path(argv[0])), reporter)
    except StopRequested:
        print("stopped at a checkpoint", file=sys.stderr)
        return ChildExit.CHECKPOINTED
    except (BadJobError, ModelError) as error:
        reporter.failed(error.message, error.remedy)
        return ChildExit.BAD_JOB
    except BadDataError as error:
        reporter.failed(error.message, error.remedy)
        return ChildExit.BAD_DATA
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(sign in str(error).lower() for sign in _OUT_OF_MEMORY):
            raise
        reporter.failed(
            f"out of memory: {str(error).splitlines()[0] if str(error) else 'allocation failed'}",
            "lower training.batch_size, or free memory at night",
        )
        return ChildExit.OUT_OF_MEMORY
    print(f"result in {result}", file=sys.stderr)
    return ChildExit.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
