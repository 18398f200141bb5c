"""Downloads that come to an end: when the time that their size allows is over, and sooner if next to nothing comes."""

from __future__ import annotations

import threading
import time
import traceback
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from meganet.ground import validate

POLL = 0.1


@dataclass(frozen=True)
class Patience:
    """How long a mirror is waited for.

    Attributes
    ----------
    window : float
        Seconds after which something must have come, from the start and from then on.
    rate : float
        Bytes per second that must come in every window.
    average : float
        Bytes per second that must come on the whole.

    Examples
    --------
    >>> from meganet.datasets.download import Patience
    >>> Patience(window=60.0)
    Patience(window=60.0, rate=1000.0, average=50000.0)
    """

    window: float = 20.0
    rate: float = 1000.0
    average: float = 50_000.0


class _Bar(tqdm):
    """A progress bar that ends the transfer which reports to it, once it is told to."""

    stopped = False

    def __bool__(self) -> bool:
        return True

    def update(self, n: float | None = 1) -> bool | None:
        if self.stopped:
            validate.reject("download", "somebody who waits for it", "nobody")
        return super().update(n)


def download(
    pooch: Any, url: str, folder: Path, largest: int, progress: bool, patience: Patience | None = None
) -> Path:
    """Return where a file has been stored in an empty folder.

    Parameters
    ----------
    pooch : module
    url : str
    folder : Path
    largest : int
        Most bytes that the file may have.
    progress : bool
        Whether a bar is shown.
    patience : Patience, optional

    Raises
    ------
    InputError
        If the transfer stalls, takes too long or does not stop at `largest` bytes.
    OSError, ValueError
        What pooch raises for other faults of the connection or the server.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from meganet.datasets.download import download
    >>> class Local:
    ...     @staticmethod
    ...     def retrieve(url, known_hash, path, progressbar):
    ...         target = Path(path) / url.rpartition("/")[2]
    ...         _ = target.write_bytes(b"content")
    ...         return target
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     download(Local, "https://example.org/a.bin", Path(folder), largest=100, progress=False).name
    'a.bin'
    """
    patience = patience or Patience()
    bar = _Bar(total=largest, disable=not progress, unit="B", unit_scale=True, leave=False)
    done: Future[str] = Future()

    def transfer() -> None:
        try:
            done.set_result(pooch.retrieve(url, known_hash=None, path=str(folder), progressbar=bar))
        except BaseException as error:  # raised where it is waited for
            _close(error)
            done.set_exception(error)

    # in a thread, since a server that sends a byte now and then keeps every read waiting
    threading.Thread(target=transfer, daemon=True).start()
    try:
        _wait(done, url, folder, largest, patience)
        return Path(done.result())
    finally:
        bar.stopped = True
        bar.close()


def _close(error: BaseException) -> None:
    """Close the connection, which pooch leaves open when a transfer fails."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if callable(close := getattr(frame.f_locals.get("response"), "close", None)):
            close()


def _wait(done: Future[str], url: str, folder: Path, largest: int, patience: Patience) -> None:
    begin = since = time.monotonic()
    before, deadline = 0, 2 * patience.window + largest / patience.average
    while not done.done():
        time.sleep(min(POLL, patience.window / 10))
        size, now = _size(folder), time.monotonic()
        if done.done() or size > largest:
            break
        if now - begin > deadline:
            validate.reject(url, f"the file within {deadline:,.0f} s", f"{size:,} bytes")
        if now - since > patience.window:
            least = patience.rate * (now - since)
            if size - before < least:
                expected = f"at least {least:,.0f} bytes in {now - since:.0f} s"
                validate.reject(url, expected, f"{size - before:,} (the transfer stalls)")
            before, since = size, now
    if (size := _size(folder)) > largest:
        validate.reject(url, f"at most {largest:,} bytes", f"{size:,} so far")


def _size(folder: Path) -> int:
    """Return the bytes in a folder's files; one of them may vanish meanwhile."""
    total = 0
    for path in folder.iterdir():
        try:
            total += path.stat().st_size
        except FileNotFoundError:
            continue
    return total
