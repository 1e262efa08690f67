"""Finds the configuration files, reads them as TOML and lays them over each other. Judges no key.

The main file is the first one found on the search path. Drop-ins of all directories are read in the
order of their file names, whatever their directory; the same name in a higher directory replaces the
one below it, and an empty file or a link to /dev/null masks it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sleepd.config.places import SearchPath
from sleepd.errors import ConfigError

Table = dict[str, object]


@dataclass(frozen=True)
class Layers:
    """All files laid over each other. ``origins`` names the file that set each ``section.key``."""

    values: Table
    origins: dict[str, str]
    files: tuple[Path, ...]


def find(search: SearchPath, name: str) -> list[Path]:
    """The files that make up the configuration ``name``, in the order in which they are applied."""
    main = next((d / f"{name}.toml" for d in search.directories if (d / f"{name}.toml").exists()), None)
    return ([main] if main else []) + _drop_ins([d / f"{name}.toml.d" for d in search.directories])


def find_beside(file: Path) -> list[Path]:
    """``file`` and the drop-ins of ``FILE.d``. Raises ConfigError when there is no such file."""
    if not file.exists():
        raise ConfigError(
            f"configuration file {file} does not exist", "name an existing file after -c, or leave -c out to use the search path"
        )
    return [file, *_drop_ins([file.with_name(file.name + ".d")])]


def lay_over(files: Sequence[Path]) -> Layers:
    """Read every file; what a later one sets overrules the earlier, key by key."""
    values: Table = {}
    origins: dict[str, str] = {}
    for file in files:
        for section, content in _read(file).items():
            if not isinstance(content, dict):
                values[section] = content
                origins[section] = str(file)
                continue
            below = values.get(section)
            values[section] = {**below, **content} if isinstance(below, dict) else content
            origins.update({f"{section}.{key}": str(file) for key in content})
            origins.setdefault(section, str(file))
    return Layers(values, origins, tuple(files))


def _drop_ins(directories: Sequence[Path]) -> list[Path]:
    chosen: dict[str, Path] = {}
    for directory in directories:
        try:
            entries = sorted(directory.iterdir())
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ConfigError(f"cannot read {directory}: {error.strerror}", "give this user access to it") from error
        for entry in entries:
            if entry.suffix == ".toml" and not entry.name.startswith("."):
                chosen.setdefault(entry.name, entry)
    return [chosen[name] for name in sorted(chosen) if not _masks(chosen[name])]


def _masks(file: Path) -> bool:
    """An empty file, or a link to /dev/null (a character device of size 0). A dangling link is left to the reader's error."""
    return file.exists() and not file.is_dir() and file.stat().st_size == 0


def _read(file: Path) -> Table:
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", "give this user read access to it, or remove it") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file}: byte {error.start} is not UTF-8", "save the file as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        reason = f"{error}"
        remedy = "correct that line; strings need quotes, true and false are lower case"
        raise ConfigError(f"{file}: not TOML: {reason[:1].lower()}{reason[1:]}", remedy) from error
