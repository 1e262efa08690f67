"""The store of adapters: numbered cycle directories that never change, and two links into them.

Owns everything under the adapters directory: publishing, the ``active`` and ``last_good`` links as facts to
read, ``staging/`` and ``quarantine/``. It decides nothing: the gate judges, ``activate`` moves the links.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from sleepd import durable
from sleepd.adapter import artifact, manifest, prune
from sleepd.errors import NotFoundError, StoreError

ACTIVE = "active"
LAST_GOOD = "last_good"
STAGING = "staging"
QUARANTINE = "quarantine"
README = "README.md"
REASON = "reason.json"
DOCUMENTS = ("cycle_results.json", "report.json", "training_state.json")

RESERVE_BYTES = 16 * 2**20  # left free for the ledger and the log, which must still say why a night failed

_CYCLE = re.compile(r"cycle_(\d{3,})")


def cycle_id(number: int) -> str:
    """The adapter id of a cycle: at least three digits, as the seeds wrote them."""
    return f"cycle_{number:03d}"


def cycle_number(name: str) -> int | None:
    """The number of a cycle directory's name, or None when it is no such name."""
    match = _CYCLE.fullmatch(name)
    return int(match[1]) if match and cycle_id(int(match[1])) == name else None


def free_bytes(path: Path) -> int:
    """Bytes that an unprivileged process may still write on the file system of ``path``."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize


class AdapterStore:
    """The adapters directory ``root``. Nothing is created before the first publish or quarantine."""

    def __init__(self, root: Path, free: Callable[[Path], int] = free_bytes) -> None:
        self.root = root
        self._free = free

    # -- what is there ------------------------------------------------------------------------------------

    def numbers(self) -> list[int]:
        """The numbers of all cycle directories, ascending (999 before 1000)."""
        if not self.root.is_dir():
            return []
        found = (cycle_number(entry.name) for entry in self.root.iterdir() if entry.is_dir() and not entry.is_symlink())
        return sorted(number for number in found if number is not None)

    def next_number(self, floor: int = 0) -> int:
        """A number above every cycle here and above ``floor`` (the ledger's highest)."""
        return max([floor, *self.numbers()]) + 1

    def path(self, adapter_id: str) -> Path:
        """The directory of an adapter; raises NotFoundError when it is not in the store."""
        directory = self.root / adapter_id
        if cycle_number(adapter_id) is None or directory.is_symlink() or not directory.is_dir():
            raise NotFoundError(f"adapter {adapter_id} is not in {self.root}", "list the cycles with `sleepd cycles`")
        return directory

    def manifest(self, adapter_id: str) -> dict[str, object]:
        return manifest.read(self.path(adapter_id))

    def sha256(self, adapter_id: str) -> str:
        """The sha256 of the adapter's weights, as published."""
        return manifest.recorded_files(self.path(adapter_id))[artifact.WEIGHTS][1]

    def integrity(self, adapter_id: str) -> None:
        """Raise StoreError unless every file of the adapter still has the hash it was published with."""
        manifest.check_hashes(self.path(adapter_id))

    def active(self) -> str | None:
        """The adapter in service, None for the base model; raises StoreError when the link is broken."""
        return self._follow(ACTIVE)

    def last_good(self) -> str | None:
        """The adapter of the last commit, None for the base model; raises StoreError when the link is broken."""
        return self._follow(LAST_GOOD)

    def _follow(self, name: str) -> str | None:
        link = self.root / name
        try:
            target = str(link.readlink())  # in one look: a switch to the base model may remove the link at any moment
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"{link} is not a link", f"move {link} away and choose an adapter with `sleepd activate`") from error
        remedy = "choose an adapter with `sleepd activate N`, or `sleepd activate base`"
        if cycle_number(target) is None:
            raise StoreError(f"{link} points to {target}, which is not a cycle of this store", remedy)
        try:
            manifest.check_complete(self.path(target))
        except (NotFoundError, StoreError) as error:
            raise StoreError(f"{link} points to {target}, which is not complete: {error.message}", remedy) from error
        return target

    # -- what comes and goes ------------------------------------------------------------------------------

    def publish(
        self, number: int, candidate_dir: Path, documents: Mapping[str, object], readme: str, provenance: Mapping[str, object]
    ) -> str:
        """Make ``candidate_dir`` cycle ``number``: copied, hashed, durable, complete or absent. Returns the adapter id.

        ``documents``: the JSON files named in DOCUMENTS. ``provenance``: at least the keys manifest.REQUIRED. Publishing
        the same adapter under the same number again, as a restart does, changes nothing. Raises StoreError.
        """
        name = cycle_id(number)
        hashes = artifact.check_files(candidate_dir)
        _check_contents(name, documents, provenance, hashes[artifact.WEIGHTS])
        if (self.root / name).exists():
            self._check_same(name, hashes)
            durable.fsync_dir(self.root)  # a crash may have come between the rename and its fsync
            return name
        staging = self._new_staging(name)
        self._check_space(sum((candidate_dir / file).stat().st_size for file in hashes))
        for file, digest in hashes.items():
            _copy(candidate_dir / file, staging / file, digest)
        for file, value in documents.items():
            durable.write_json(staging / file, value)
        durable.write_atomic(staging / README, readme)
        whole = {**provenance, "format": manifest.FORMAT, "id": name, "number": number, "files": manifest.describe(staging)}
        durable.write_json(staging / manifest.NAME, whole)
        durable.publish_dir(staging, self.root / name)
        return name

    def quarantine(self, source: Path, name: str, reason: str) -> Path:
        """Keep a rejected candidate under quarantine/``name`` with its reason; a second call for a name changes nothing.

        Only regular files are copied. A ``source`` that does not exist leaves the reason alone.
        """
        target = self.root / QUARANTINE / name
        if Path(name).name != name:
            raise StoreError(f"quarantine name {name!r} is not a file name", "use the adapter id")
        if target.exists():
            return target
        staging = self._new_staging(f"{QUARANTINE}-{name}")
        target.parent.mkdir(mode=durable.DIRECTORY_MODE, exist_ok=True)
        files = [file for file in sorted(source.iterdir()) if file.is_file() and not file.is_symlink()] if source.is_dir() else []
        self._check_space(sum(file.stat().st_size for file in files))
        for file in files:
            _copy(file, staging / file.name, durable.sha256_file(file))
        durable.write_json(staging / REASON, {"name": name, "reason": reason, "files": manifest.describe(staging)})
        durable.publish_dir(staging, target)
        return target

    def clean_staging(self) -> list[str]:
        """Remove what a killed process left half done; returns the names. Call at start-up only, before any publish."""
        if not self.root.is_dir():
            return []
        removed = []
        staging = self.root / STAGING
        hidden = [
            e for parent in (self.root, self.root / QUARANTINE) if parent.is_dir() for e in parent.iterdir() if e.name.startswith(".")
        ]
        for entry in sorted([*(staging.iterdir() if staging.is_dir() else ()), *hidden]):
            _remove(entry)
            removed.append(entry.name)
        return removed

    def prune(self, keep: int, protected: Collection[str]) -> list[str]:
        """Remove old cycles and old quarantined candidates; returns their names. ``protected``: adapter ids with a tag.

        Keeps ``keep`` newest, never fewer than prune.ALWAYS_KEPT, and never active, last_good or a protected one. A broken
        link raises StoreError before anything is removed.
        """
        safe = {*protected} | {name for name in (self.active(), self.last_good()) if name is not None}
        complete = [cycle_id(number) for number in self.numbers() if (self.root / cycle_id(number) / manifest.NAME).is_file()]
        removed = prune.expendable(complete, keep, safe)
        for name in removed:
            durable.remove_dir(self.root / name)
        quarantine = self.root / QUARANTINE
        names = sorted((entry.name for entry in quarantine.iterdir()), key=prune.by_number) if quarantine.is_dir() else []
        rejected = prune.expendable(names, keep, set())
        for name in rejected:
            durable.remove_dir(quarantine / name)
        return removed + [f"{QUARANTINE}/{name}" for name in rejected]

    def quarantined(self) -> list[int]:
        """The numbers of the cycles whose rejected candidates are kept, ascending."""
        folder = self.root / QUARANTINE
        found = (cycle_number(entry.name) for entry in folder.iterdir()) if folder.is_dir() else ()
        return sorted(number for number in found if number is not None)

    def remove(self, numbers: Collection[int], quarantined: Collection[int]) -> list[str]:
        """Remove these cycles, tagged or not, and these rejected candidates, whatever ``prune`` would keep; returns their names.

        Never the active or the last good one. A broken link raises StoreError before anything is removed.
        """
        safe = {self.active(), self.last_good()}
        names = [name for name in map(cycle_id, numbers) if name not in safe]
        names += [f"{QUARANTINE}/{cycle_id(number)}" for number in quarantined]
        for name in names:
            durable.remove_dir(self.root / name)
        return names

    def _new_staging(self, name: str) -> Path:
        staging = self.root / STAGING / name
        try:
            for directory in (self.root, staging.parent):
                directory.mkdir(mode=durable.DIRECTORY_MODE, parents=True, exist_ok=True)
            if staging.exists():
                shutil.rmtree(staging)
            staging.mkdir(mode=durable.DIRECTORY_MODE)
        except OSError as error:
            raise StoreError(f"cannot create {staging}: {error.strerror}", f"give this user write access to {self.root}") from error
        return staging

    def _check_space(self, size: int) -> None:
        free = self._free(self.root)
        if free < size + RESERVE_BYTES:
            needed, reserve, have = (amount / 2**20 for amount in (size, RESERVE_BYTES, free))
            message = f"{self.root} has {have:.1f} MB free; {needed:.1f} MB and {reserve:.0f} MB of reserve are needed"
            raise StoreError(message, "free some space, or lower adapters.keep so that fewer old cycles stay")

    def _check_same(self, name: str, hashes: Mapping[str, str]) -> None:
        self.integrity(name)
        recorded = manifest.recorded_files(self.root / name)
        if any(recorded.get(file, (0, ""))[1] != digest for file, digest in hashes.items()):
            raise StoreError(f"{self.root / name} exists already and holds another adapter", "publish under the next number")


def _check_contents(name: str, documents: Mapping[str, object], provenance: Mapping[str, object], weights: str) -> None:
    missing = [key for key in manifest.REQUIRED if key not in provenance] + [file for file in DOCUMENTS if file not in documents]
    surplus = [file for file in documents if file not in DOCUMENTS]
    if missing or surplus:
        raise StoreError(f"{name} cannot be published: missing {missing}, not wanted {surplus}", "a cycle directory is complete or absent")
    if provenance["adapter_sha256"] != weights:
        message = (
            f"{name} cannot be published: its weights have sha256 {weights[:16]}, the result says {str(provenance['adapter_sha256'])[:16]}"
        )
        raise StoreError(message, "the candidate changed after it was judged; run the cycle again")


def _copy(source: Path, target: Path, digest: str) -> None:
    """Copy one file and prove that the copy holds what was checked."""
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise StoreError(f"cannot copy {source} to {target}: {error.strerror}", f"check the file system of {target.parent}") from error
    if durable.sha256_file(target) != digest:
        raise StoreError(f"{source} changed while it was copied", "run the cycle again")


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)
