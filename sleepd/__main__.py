"""``python -m sleepd`` and the ``sleepd`` command."""

from sleepd.cli.app import main

if __name__ == "__main__":
    raise SystemExit(main())
