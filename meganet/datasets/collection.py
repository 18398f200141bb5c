"""The files of a published data set: found, fetched from a mirror, verified. One loader for all of them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from meganet import _validate
from meganet._files import cache_folder, write_atomic
from meganet.datasets.idx import read_content

DATA_VARIABLE = "MEGANET_DATA"
DIGESTS = {"sha256": "SHA-256", "md5": "MD5"}
BLOCK = 2**20


class DataNotFoundError(_validate.InputError):
    """A data set is neither on this machine nor to be had from the network."""


@dataclass(frozen=True)
class Collection:
    """What is known of a data set's files.

    Attributes
    ----------
    name : str
        Of its folder in the cache, and below the folders looked in.
    title : str
    files : mapping from str to str
        Names and digests, ``"sha256:..."`` or ``"md5:..."``, as the publishers give them.
    mirrors : tuple of str
        Addresses of folders that hold the files.
    unpacked : bool
        The digests are those of the content; the files may lie there plain or as ``.gz``, and are served as ``.gz``.
        Else they are those of the files as they are served.
    elsewhere : tuple of str
        Folders below the one that is named in which other programs keep the same files.
    """

    name: str
    title: str
    files: Mapping[str, str]
    mirrors: tuple[str, ...]
    unpacked: bool = False
    elsewhere: tuple[str, ...] = ()

    @property
    def needed(self) -> str:
        """What an error says is missing."""
        return f"the files of {self.title} on this machine or from the network"

    def folders(self, folder: str | Path | None = None) -> list[Path]:
        """Return the folders looked in: `folder`, the environment variable ``MEGANET_DATA``, the user's cache."""
        named = [Path(f).expanduser() for f in (folder, os.environ.get(DATA_VARIABLE)) if f]
        below = (self.name, ".", *self.elsewhere)
        return [f / place for f in named for place in below] + [cache_folder() / self.name]

    def find(self, folder: str | Path | None = None) -> dict[str, Path] | None:
        """Return the paths of the files in the first folder that has them all, or None."""
        for name, given in (("data", folder), (DATA_VARIABLE, os.environ.get(DATA_VARIABLE))):
            if given and not Path(given).expanduser().is_dir():
                _validate.reject(name, "an existing folder", repr(str(given)))
        for place in self.folders(folder):
            found = {name: path for name in self.files for path in self._paths(place, name)[::-1] if path.is_file()}
            if len(found) == len(self.files):
                return found
            if found and folder is not None and place == Path(folder).expanduser():
                missing = ", ".join(name for name in self.files if name not in found)
                count = {4: "four"}.get(len(self.files), str(len(self.files)))
                _validate.reject("data", f"all {count} {self.title} files in {str(place)!r}", f"no {missing}")
        return None

    def _paths(self, place: Path, name: str) -> list[Path]:
        """Return where a file may lie, the likeliest first."""
        # as published, and as archives of it have been unpacked since: train-images.idx3-ubyte
        names = [name, name.replace("-idx", ".idx")]
        if self.unpacked:
            names = [variant for name in names for variant in (name, f"{name}.gz")]
        # some archives hold a folder of the file's own name
        return [place / folder / name for name in dict.fromkeys(names) for folder in (".", name)]

    def verify(self, files: Mapping[str, Path]) -> None:
        """Check the digest of each file; raise `InputError` naming the first one that is not as published."""
        for name, path in files.items():
            self._check(name, path, str(path))

    def _check(self, name: str, path: Path, where: str) -> None:
        kind, _, expected = self.files[name].partition(":")
        digest = hashlib.new(kind)
        if self.unpacked:
            digest.update(read_content(path))
        else:
            with open(path, "rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
        if digest.hexdigest() != expected:
            _validate.reject(where, f"content with {DIGESTS[kind]} {expected}", digest.hexdigest())

    def fetch(self, *, progress: bool = True, searched: Sequence[Path] = ()) -> dict[str, Path]:
        """Download the files into the user's cache, from the first mirror that serves the right content.

        Parameters
        ----------
        progress : bool
            Show a bar.
        searched : sequence of Path
            The folders in which they are not, which an error names.

        Returns
        -------
        dict
            Paths by name.

        Raises
        ------
        DataNotFoundError
            If pooch (extra ``data``) is missing or no mirror can be reached; it says how to get the files by hand.
        """
        try:
            import pooch
        except ImportError:
            self._fail("no package pooch to download it: pip install 'meganet[data]'", searched)
        pooch.get_logger().setLevel("ERROR")
        target = cache_folder() / self.name
        try:
            target.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._fail(f"no cache to download it to: {str(target)!r} ({error.strerror})", searched)
        for name in self.files:
            if self._is_there(name, target / name):
                continue
            problems = []
            for mirror in self.mirrors:
                # in the cache's own folder, so that a file of gigabytes is moved, not copied
                with tempfile.TemporaryDirectory(dir=target) as temporary:
                    try:
                        self._download(pooch, mirror, name, temporary, target / name, progress)
                    except (OSError, ValueError) as error:
                        problems.append(f"{mirror}: {type(error).__name__}")
                        continue
                break
            else:
                plain = " (plain or .gz)" if self.unpacked else ""
                advice = f"put {', '.join(self.files)}{plain} into a folder and name it with --data or {DATA_VARIABLE}"
                self._fail(f"no download ({'; '.join(problems)}); {advice}", searched)
        return {name: target / name for name in self.files}

    def _fail(self, got: str, searched: Sequence[Path]) -> NoReturn:
        places = f", and nothing in {', '.join(map(str, searched))}" if searched else ""
        _validate.reject("data", self.needed, f"{got}{places}", DataNotFoundError)

    def _download(self, pooch: object, mirror: str, name: str, temporary: str, target: Path, progress: bool) -> None:
        url = f"{mirror}{name}.gz" if self.unpacked else f"{mirror}{name}"
        path = Path(pooch.retrieve(url, known_hash=None, path=temporary, progressbar=progress))  # type: ignore[attr-defined]
        self._check(name, path, url)
        if self.unpacked:
            write_atomic(target, read_content(path))
        else:
            os.replace(path, target)
            target.chmod(0o644)

    def _is_there(self, name: str, path: Path) -> bool:
        """Whether a file has been fetched before, whole."""
        try:
            self._check(name, path, str(path))
        except (OSError, _validate.InputError):
            return False
        return True

    def located(self, folder: str | Path | None, progress: bool) -> dict[str, Path]:
        """Return the paths of the files, downloaded if they are nowhere."""
        return self.find(folder) or self.fetch(progress=progress, searched=self.folders(folder))
