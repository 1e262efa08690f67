"""A real daemon, or one foreground cycle, with the fake trainer. ``main`` is a whole process: its return is the exit status.

Options: "mode_file" names a file with the fake trainer's mode, read at each launch; "kill" and "fail" hold
"moment:STEP" of the step table's seam, where the process is SIGKILLed or an input or output error is raised;
"foreground" runs one forced cycle instead of the daemon.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path

from sleepd.config import load
from sleepd.daemon import foreground, service
from sleepd.daemon.ports import Ports
from sleepd.daemon.supervisor import ChildSettings
from sleepd.errors import SleepdError

TRAINER = Path(__file__).with_name("fake_trainer.py")


def main(config: Path, options: dict[str, object]) -> int:
    mode_file = Path(str(options["mode_file"]))

    def trainer(settings: ChildSettings, job_dir: Path) -> list[str]:
        return [sys.executable, str(TRAINER), mode_file.read_text().strip(), str(job_dir)]

    def hook(moment: str, step: str) -> None:
        here = f"{moment}:{step}"
        if options.get("kill") == here:
            os.kill(os.getpid(), signal.SIGKILL)
        if options.get("fail") == here:
            raise OSError(errno.ENOSPC, "No space left on device")

    ports = Ports(trainer_argv=trainer, hook=hook, environment=dict(os.environ))
    try:
        if options.get("foreground"):
            row = foreground.run_cycle(load(config, None, os.environ), force=True, ports=ports)
            print(row.verdict if row else None)
            return 0
        return service.run(load(config, None, os.environ), lambda: load(config, None, os.environ), ports)
    except SleepdError as error:
        print(f"sleepd: {error.message}\nremedy: {error.remedy}", file=sys.stderr)
        return int(error.exit_code)
