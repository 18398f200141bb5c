"""The files of a published data set: found, fetched from a mirror, verified. One loader for all of them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple, NoReturn

from filelock import FileLock

from meganet.datasets.content import opened
from meganet.datasets.download import Patience, download
from meganet.ground import validate
from meganet.ground.deprecated import renamed
from meganet.ground.files import BLOCK, TEMPORARY, cache_folder, user_path, write_atomic

DATA_VARIABLE = "MEGANET_DATA"
DIGESTS = {"sha256": "SHA-256", "md5": "MD5"}
PREFIX = ".download-"
"""Of folders in the cache that hold a file while it comes."""


class DataNotFoundError(validate.UserError):
    """A data set is neither on this machine nor to be had from the network.

    Examples
    --------
    >>> from meganet.datasets import DataNotFoundError
    >>> issubclass(DataNotFoundError, ValueError)
    True
    """


class FileState(NamedTuple):
    """What a file is, "ok", "damaged" or "missing", and where it lies.

    Examples
    --------
    >>> from meganet.datasets.collection import FileState
    >>> FileState("missing")
    FileState(state='missing', path=None)
    """

    state: str
    path: Path | None = None


@dataclass(frozen=True)
class Collection:
    """What is known of a data set's files.

    Attributes
    ----------
    name : str
        Of its folder in the cache, and below the folders looked in.
    title : str
    files : mapping from str to str
        Names and digests, ``"sha256:..."`` or ``"md5:..."``, as the publishers give them; "" where they give none.
    mirrors : tuple of str
        Addresses of folders that hold the files.
    unpacked : bool
        The digests are those of the content; the files may lie there plain or as ``.gz``, and are served as ``.gz``.
        Else they are those of the files as they are served.
    elsewhere : tuple of str
        Folders below the one that is named in which other programs keep the same files.
    largest : int
        Most bytes of a file, served or unpacked.
    patience : Patience
        How long a mirror is waited for.

    Examples
    --------
    >>> import hashlib, tempfile
    >>> from pathlib import Path
    >>> from meganet.datasets import Collection
    >>> digest = "sha256:" + hashlib.sha256(b"content").hexdigest()
    >>> tiny = Collection("tiny", "Tiny", {"a.bin": digest, "b.bin": digest}, ("https://example.org/",))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "a.bin").write_bytes(b"content")
    ...     _ = (Path(folder) / "b.bin").write_bytes(b"something else")
    ...     {name: file.state for name, file in tiny.states(folder).items()}
    {'a.bin': 'ok', 'b.bin': 'damaged'}
    """

    name: str
    title: str
    files: Mapping[str, str]
    mirrors: tuple[str, ...]
    unpacked: bool = False
    elsewhere: tuple[str, ...] = ()
    largest: int = 2 * 10**8
    patience: Patience = field(default_factory=Patience)

    @property
    def needed(self) -> str:
        """What an error says is missing."""
        return f"the files of {self.title} on this machine or from the network"

    def folders(self, folder: str | Path | None = None) -> list[Path]:
        """Return the folders looked in: `folder`, the environment variable ``MEGANET_DATA``, the user's cache."""
        below = (self.name, ".", *self.elsewhere)
        named = _named(folder).values()
        places = [place for f in named for place in (*(f / name for name in below), *self._inside(f))]
        return [*places, cache_folder() / self.name]

    def _inside(self, folder: Path) -> list[Path]:
        """Return where the files lie if `folder` is the one in which another program keeps this data set."""
        known = [Path(place).parts for place in self.elsewhere]
        return [folder.joinpath(*parts[1:]) for parts in known if parts[1:] and folder.name == parts[0]]

    def find(self, folder: str | Path | None = None) -> dict[str, Path] | None:
        """Return the paths of the files in the first folder that has them all, or None."""
        named = named_folders(folder)
        for place in self.folders(folder):
            found = self._lying_in(place)
            if len(found) == len(self.files):
                return found
            if found and place == named.get("data"):
                missing = ", ".join(name for name in self.files if name not in found)
                count = {4: "four"}.get(len(self.files), str(len(self.files)))
                validate.reject("data", f"all {count} {self.title} files in {str(place)!r}", f"no {missing}")
        return None

    def _lying_in(self, place: Path) -> dict[str, Path]:
        return {name: path for name in self.files for path in self._paths(place, name)[::-1] if os.path.isfile(path)}

    def states(self, folder: str | Path | None = None) -> dict[str, FileState]:
        """Return what is there of each file, in the folder that holds most of them, the first one of several.

        Raises
        ------
        InputError
            If a folder that was named is none.
        """
        named_folders(folder)
        found = max(map(self._lying_in, self.folders(folder)), key=len)
        return {name: self.state(name, found.get(name)) for name in self.files}

    def state(self, name: str, path: Path | None) -> FileState:
        """Return what a path is as the file of a name."""
        if path is None:
            return FileState("missing")
        try:
            self._check(name, path, str(path))
        except validate.InputError:
            return FileState("damaged", path)
        return FileState("ok", path)

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
        digest, start = hashlib.new(kind or "md5"), b""
        try:
            with opened(path, self.largest) if self.unpacked else open(path, "rb") as file:
                while block := file.read(BLOCK):
                    start = start or block
                    digest.update(block)
        except OSError as error:
            validate.reject_file(where, "a file that can be read", str(error.strerror))
        if expected and digest.hexdigest() != expected:
            is_page = start.lstrip().lower().startswith((b"<!doctype html", b"<html"))
            got = "an HTML page" if is_page else digest.hexdigest()
            validate.reject_file(where, f"content with {DIGESTS[kind]} {expected}", got)

    def fetch(self, *, progress: bool = True, searched: Sequence[Path] = ()) -> dict[str, Path]:
        """Download the files into the user's cache, from the first mirror that serves the right content.

        Those that are there as they were published stay, damaged ones are replaced, and what downloads that were killed
        have left is deleted.

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
            If pooch (extra ``data``) is missing or no mirror serves the content; it says what came from each, and how
            to get the files manually.
        """
        target = cache_folder() / self.name
        stored = {name: self._whole(name, target) for name in self.files}
        if all(stored.values()):
            return {name: path for name, path in stored.items() if path}
        try:
            import pooch
        except ImportError:
            self._fail("no package pooch to download it: pip install 'meganet[data]'", searched)
        pooch.get_logger().setLevel("ERROR")
        try:
            target.mkdir(parents=True, exist_ok=True)
            # one process fetches, the others wait and find what it has fetched
            with FileLock(target.with_name(f".{self.name}.lock")):
                _clear(target)
                return {
                    name: self._whole(name, target) or self._from_mirrors(pooch, name, target, progress, searched)
                    for name in self.files
                }
        except OSError as error:
            self._fail(f"no cache to download it to: {str(target)!r} ({error.strerror})", searched)

    def _fail(self, got: str, searched: Sequence[Path]) -> NoReturn:
        places = f", and nothing in {', '.join(map(str, searched))}" if searched else ""
        validate.reject("data", self.needed, f"{got}{places}", DataNotFoundError)

    def _whole(self, name: str, place: Path) -> Path | None:
        """Return where a folder holds a file as it was published, or None."""
        for path in self._paths(place, name):
            try:
                self._check(name, path, str(path))
                return path
            except validate.InputError:
                continue
        return None

    def _from_mirrors(self, pooch: Any, name: str, target: Path, progress: bool, searched: Sequence[Path]) -> Path:
        damaged = [path for path in self._paths(target, name) if os.path.isfile(path)]
        problems = [f"{path}: damaged" for path in damaged]
        for mirror in self.mirrors:
            url = f"{mirror}{name}.gz" if self.unpacked else f"{mirror}{name}"
            # in the cache's own folder, so that a file of gigabytes is moved, not copied
            with tempfile.TemporaryDirectory(dir=target, prefix=PREFIX, ignore_cleanup_errors=True) as temporary:
                try:
                    path = download(pooch, url, Path(temporary), self.largest, progress, self.patience)
                    self._check(name, path, url)
                except (OSError, ValueError) as error:
                    kind = "InputError" if isinstance(error, validate.InputError) else type(error).__name__
                    what = str(error).removeprefix(f"{url}: ")
                    problems.append(f"{mirror}: {kind}: {shorten(what, 300, placeholder=' ...')}")
                    continue
                if self.unpacked:
                    with opened(path, self.largest) as content:
                        write_atomic(target / name, b"".join(content.blocks()))
                else:
                    os.replace(path, target / name)
                    (target / name).chmod(0o644)
            for other in damaged:
                if other != target / name:
                    other.unlink()
            return target / name
        plain = " (plain or .gz)" if self.unpacked else ""
        advice = f"put {', '.join(self.files)}{plain} into a folder and name it with --data or {DATA_VARIABLE}"
        self._fail(f"no download; {advice} ({'; '.join(problems)})", searched)

    def find_or_fetch(self, folder: str | Path | None, progress: bool) -> dict[str, Path]:
        """Return the paths of the files, downloaded if they are nowhere.

        In a folder that was named they may be others of the same form. Those in the user's cache are as published:
        what is damaged there is downloaded again.
        """
        found = self.find(folder)
        if found and not any(path.is_relative_to(cache_folder() / self.name) for path in found.values()):
            return found
        return self.fetch(progress=progress, searched=self.folders(folder))

    located = renamed("Collection.located", find_or_fetch)


def _named(folder: str | Path | None) -> dict[str, Path]:
    """Return the folders that a user has named, by the argument or the environment variable."""
    given = {"data": folder, DATA_VARIABLE: os.environ.get(DATA_VARIABLE)}
    return {argument: user_path(argument, path) for argument, path in given.items() if path not in (None, "")}


def named_folders(folder: str | Path | None = None) -> dict[str, Path]:
    """Return the folders that a user has named, once it is clear that there are such folders.

    Examples
    --------
    >>> from meganet.datasets.collection import named_folders
    >>> str(named_folders(".")["data"])
    '.'
    """
    named = _named(folder)
    for argument, given in named.items():
        if not os.path.isdir(given):
            validate.reject(argument, "an existing folder", repr(str(given)))
    return named


def _clear(folder: Path) -> None:
    """Delete what processes that were killed have left in a folder of the cache."""
    for left_over in folder.glob(f"{PREFIX}*"):
        shutil.rmtree(left_over, ignore_errors=True)
    for left_over in folder.glob(f".*{TEMPORARY}"):
        left_over.unlink()
