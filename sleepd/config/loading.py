"""Loads the configuration: finds the files, validates them together, and knows where every key came from.

All or nothing: a configuration with one error is refused whole, and the error names file, key, value and
reason of everything that is wrong with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from sleepd import fixed_items
from sleepd.config import files, places
from sleepd.config.explain import explained
from sleepd.config.places import Directories, SearchPath
from sleepd.config.schema import Config
from sleepd.errors import ConfigError

DEFAULT = "default"
BUFFER_NAME = "experience_buffer.json"
SOCKET_NAME = "control.sock"


@dataclass(frozen=True)
class Loaded:
    """A valid configuration. ``origins``: for every ``section.key`` the file that set it, or "default".

    ``files``: what was read, in order. ``directories``: resolved, with the [directories] section applied.
    """

    config: Config
    origins: Mapping[str, str]
    files: tuple[Path, ...]
    directories: Directories
    home: Path
    instance: str | None = None

    @property
    def buffers(self) -> list[Path]:
        """The experience buffers to watch; without a configured one, the one in the state directory."""
        configured = self.config.experience.buffers
        return [self._expand(path) for path in configured] or [self.directories.state / BUFFER_NAME]

    @property
    def model(self) -> Path | None:
        """The base model's directory, None while none is configured."""
        return self._expand(self.config.model.path) if self.config.model.path else None

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self._expand(self.config.control.socket) if self.config.control.socket else self.directories.runtime / SOCKET_NAME

    @property
    def capture_buffer(self) -> Path:
        """Where ``sleepd serve`` writes what it captures."""
        return self._expand(self.config.serve.buffer) if self.config.serve.buffer else self.buffers[0]

    def _expand(self, path: str) -> Path:
        return places.expand(path, self.home)


def load(
    file: Path | None, instance: str | None, env: Mapping[str, str], search: SearchPath | None = None, uid: int | None = None
) -> Loaded:
    """Read and validate the configuration.

    ``file``: this one and ``FILE.d/*.toml`` instead of the search path. ``instance``: read NAME.toml instead of
    sleepd.toml, with directories of its own. ``search`` and ``uid`` default to the standard ones.
    Raises ConfigError.
    """
    user = os.geteuid() if uid is None else uid
    name = places.check_instance(instance) if instance is not None else places.NAME
    path = search or SearchPath.standard(env, user)
    found = files.find_beside(file) if file else files.find(path, name)
    if instance is not None and not found:
        raise ConfigError(
            f"instance {instance} has no configuration: no {name}.toml in {', '.join(map(str, path.directories))}",
            f"write {path.directories[0] / name}.toml, with at least model.path",
        )
    layers = files.lay_over(found)
    config = validated(layers)
    home = places.home_directory(env)
    standard = places.standard_directories(env, user, instance)
    chosen = config.directories
    directories = Directories(
        state=places.expand(chosen.state, home) if chosen.state else standard.state,
        runtime=places.expand(chosen.runtime, home) if chosen.runtime else standard.runtime,
        cache=places.expand(chosen.cache, home) if chosen.cache else standard.cache,
        configuration=standard.configuration,
    )
    _check_fixed_items(config, home)
    origins = {key: layers.origins.get(key, DEFAULT) for key in config.flat()}
    return Loaded(config, origins, layers.files, directories, home, instance)


def _check_fixed_items(config: Config, home: Path) -> None:
    """A bad line is refused now and not at night. The files that come with sleepd need no check."""
    configured: dict[fixed_items.Name, str] = {"identity": config.training.identity_file, "general": config.training.general_file}
    for name, path in configured.items():
        if path:
            fixed_items.read(places.expand(path, home), name)


def validated(layers: files.Layers) -> Config:
    """Raises one ConfigError that lists everything that is wrong."""
    try:
        return Config.model_validate(layers.values)
    except ValidationError as error:
        raise explained(error, layers.origins, [str(file) for file in layers.files]) from error
