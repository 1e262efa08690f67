"""``python -m sleepd.api``: the scheduler's command line."""

import sys

from sleepd.api.scheduler import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
