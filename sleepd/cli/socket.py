"""Where a daemon's control socket is, from the same files as the configuration but without validating them.

Must give the path that ``Loaded.socket`` gives for a valid configuration (a test holds the two together), and give one for an invalid
configuration too: a running daemon keeps answering beside a file that it would reject.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from sleepd.config import files, places
from sleepd.config.places import SearchPath
from sleepd.errors import ConfigError

SOCKET_NAME = "control.sock"


def find(file: Path | None, instance: str | None, env: Mapping[str, str], uid: int | None = None, search: SearchPath | None = None) -> Path:
    """The socket of the daemon that these options mean, whether or not anything answers there.

    ``uid`` and ``search`` default to this user and the standard search path. Raises ConfigError when the configuration cannot be read
    and no daemon runs at the usual place either.
    """
    user = os.geteuid() if uid is None else uid
    usual = _usual(instance, env, user)
    try:
        configured = _configured(file, instance, env, search or SearchPath.standard(env, user))
    except ConfigError:
        if file is None and usual.exists():
            return usual
        raise
    return configured or usual


def _usual(instance: str | None, env: Mapping[str, str], uid: int) -> Path:
    """The standard place; for a user who runs no daemon of their own, the machine's."""
    own = places.standard_directories(env, uid, instance).runtime / SOCKET_NAME
    machine = places.standard_directories({}, 0, instance).runtime / SOCKET_NAME
    return machine if not own.exists() and machine.exists() else own


def _configured(file: Path | None, instance: str | None, env: Mapping[str, str], search: SearchPath) -> Path | None:
    name = places.check_instance(instance) if instance else places.NAME
    values = files.lay_over(files.find_beside(file) if file else files.find(search, name)).values
    home = places.home_directory(env)
    socket = _text(values, "control", "socket")
    if socket:
        return places.expand(socket, home)
    runtime = _text(values, "directories", "runtime")
    return places.expand(runtime, home) / SOCKET_NAME if runtime else None


def _text(values: Mapping[str, object], section: str, key: str) -> str:
    """A key's text; anything else is for the validation to complain about."""
    content = values.get(section)
    value = content.get(key) if isinstance(content, dict) else None
    return value if isinstance(value, str) else ""
