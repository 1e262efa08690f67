"""Where configuration is searched and where state lives: systemd's directories, the system's, or the user's own.

Pure: an environment and a user id in, paths out. Nothing is created or read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sleepd.errors import ConfigError

NAME = "sleepd"
_INSTANCE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class SearchPath:
    """Configuration directories, the one that overrules all others first."""

    directories: tuple[Path, ...]

    @classmethod
    def standard(cls, env: Mapping[str, str], uid: int) -> SearchPath:
        """$CONFIGURATION_DIRECTORY, the user's own (not for root), then /etc, /run and /usr/lib."""
        own = [] if uid == 0 else [_home(env, "XDG_CONFIG_HOME", ".config") / NAME]
        system = [Path("/etc") / NAME, Path("/run") / NAME, Path("/usr/lib") / NAME]
        return cls(tuple(dict.fromkeys([*_given(env, "CONFIGURATION_DIRECTORY"), *own, *system])))


@dataclass(frozen=True)
class Directories:
    """``state``: ledger, adapters, jobs; ``runtime``: the control socket; ``cache``: may be deleted; ``configuration``: for people."""

    state: Path
    runtime: Path
    cache: Path
    configuration: Path


def check_instance(name: str) -> str:
    """The name of an instance becomes part of paths. Raises ConfigError when it cannot."""
    if name == NAME or not _INSTANCE.fullmatch(name):
        raise ConfigError(f'instance "{name}" is no usable name', f"use letters, digits, '.', '_' and '-', and not {NAME} itself")
    return name


def standard_directories(env: Mapping[str, str], uid: int, instance: str | None) -> Directories:
    """systemd's directories where it set them, else the system's for root, else the user's own (XDG)."""
    name = f"{NAME}-{instance}" if instance else NAME
    if uid == 0:
        fallback = Directories(Path("/var/lib") / name, Path("/run") / name, Path("/var/cache") / name, Path("/etc") / NAME)
    else:
        state = _home(env, "XDG_STATE_HOME", ".local/state") / name
        session = _absolute(env, "XDG_RUNTIME_DIR")
        fallback = Directories(
            state=state,
            runtime=session / name if session else state / "run",
            cache=_home(env, "XDG_CACHE_HOME", ".cache") / name,
            configuration=_home(env, "XDG_CONFIG_HOME", ".config") / NAME,
        )

    def first(variable: str, otherwise: Path) -> Path:
        return next(iter(_given(env, variable)), otherwise)

    return Directories(
        state=first("STATE_DIRECTORY", fallback.state),
        runtime=first("RUNTIME_DIRECTORY", fallback.runtime),
        cache=first("CACHE_DIRECTORY", fallback.cache),
        configuration=first("CONFIGURATION_DIRECTORY", fallback.configuration),
    )


def expand(path: str, home: Path) -> Path:
    """A configured path; ``~/`` stands for ``home``."""
    return home / path[2:] if path.startswith("~/") else Path(path)


def home_directory(env: Mapping[str, str]) -> Path:
    return _absolute(env, "HOME") or Path.home()


def _home(env: Mapping[str, str], variable: str, otherwise: str) -> Path:
    return _absolute(env, variable) or home_directory(env) / otherwise


def _absolute(env: Mapping[str, str], variable: str) -> Path | None:
    """The XDG rules: a variable that holds no absolute path counts as unset."""
    value = env.get(variable, "")
    return Path(value) if value.startswith("/") else None


def _given(env: Mapping[str, str], variable: str) -> list[Path]:
    """systemd separates several directories by colons; the first is the main one."""
    return [Path(part) for part in env.get(variable, "").split(":") if part.startswith("/")]
