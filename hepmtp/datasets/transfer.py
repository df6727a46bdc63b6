"""HTTP transfers that go on where they broke.

The rule: what has come is kept beside the target in ``.NAME.part``. It is continued by a Range
request if the server says that its file is still the same one (or if a digest will be checked).
Else it is begun anew. Nothing waits for ever.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urljoin, urlsplit

import requests

from hepmtp.errors import FetchError

_BLOCK = 1 << 16  # bytes; what a broken connection loses at most
_AGAIN = (408, 425, 429, 500, 502, 503, 504)  # the same request may work later
_LISTING = 50 * 10**6  # bytes of the listing of a record
_MOST_REDIRECTS = 10
_LONGEST = 120.0  # seconds between two attempts
_T = TypeVar("_T")

#: Called with a file's name, the bytes that are here, and those that there will be, if known; from
#: several threads.
ByteProgress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Transfer:
    """How patient a download is.

    Parameters
    ----------
    timeout
        seconds to connect, and seconds without a byte.
    retries
        further attempts after one that brought nothing new; a transfer that goes on is not given
        up.
    wait
        seconds before the first of them; before each next one twice as long.
    hosts
        other hosts that a server may send us on to; always by https, or as the first address is.
    """

    timeout: tuple[float, float] = (10.0, 60.0)
    retries: int = 4
    wait: float = 1.0
    hosts: tuple[str, ...] = ()


class _BrokenTransferError(Exception):
    """An attempt that may be repeated, after so many seconds if the server says so."""

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


def get_json(url: str, transfer: Transfer) -> Any:
    """What an address answers, as JSON; raises FetchError, or ValueError if it is no JSON."""

    def attempt() -> Any:
        with _get(url, transfer, {}) as response:
            _check_status(url, response)
            content = b""
            for block in response.iter_content(_BLOCK):
                content += block
                if len(content) > _LISTING:
                    raise FetchError(
                        f"{url} answers with more than {_LISTING / 1e6:g} MB: that is no listing "
                        "of a record; correct the manifest"
                    )
            try:
                return json.loads(content)
            except RecursionError:
                raise ValueError("it is nested too deep") from None

    return _retried(url, attempt, transfer)


@dataclass(frozen=True)
class Resumed:
    """A downloader for ``pooch.retrieve``.

    Parameters
    ----------
    part
        where an unfinished transfer is kept.
    trusted
        whether a digest will be checked, so that a part may be continued even if the server does
        not say of its file that it is still the same.
    stop
        set from elsewhere to end the transfer.
    size, exact
        bytes of the file, if `exact`; else bytes that it may have.
    """

    part: Path
    transfer: Transfer
    trusted: bool
    stop: threading.Event
    name: str = ""
    progress: ByteProgress | None = None
    size: int = 10**11
    exact: bool = False

    # pooch calls it so
    def __call__(self, url: str, output_file: str, pooch: object) -> None:  # noqa: ARG002
        """Download `url` to `output_file`.

        Raises
        ------
        FetchError
            if the server refuses, or if `retries` attempts in a row brought nothing new.
        """
        self.part.parent.mkdir(parents=True, exist_ok=True)
        _retried(
            url,
            lambda: self._continue(url),
            self.transfer,
            got=self._size,
            stop=self.stop,
            kept=self.part,
        )
        os.replace(self.part, output_file)
        self._tag.unlink(missing_ok=True)

    @property
    def _tag(self) -> Path:
        """Where the server's name for this state of the file is kept."""
        return self.part.with_name(f"{self.part.name}.tag")

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _continue(self, url: str) -> None:
        tag = self._tag.read_text(encoding="utf-8") if self._tag.exists() else ""
        start = self._size() if tag or self.trusted else 0
        headers = {"Accept-Encoding": "identity"}  # the bytes of the file, whatever they are
        if start:
            headers |= {"Range": f"bytes={start}-"} | ({"If-Range": tag} if tag else {})
        with _get(url, self.transfer, headers) as response:
            if response.status_code == 416 and start:
                if response.headers.get("Content-Range", "").endswith(f"/{start}"):
                    return  # it was whole already
                self._forget()
                raise _BrokenTransferError("the server's file is shorter than what had come")
            _check_status(url, response)
            if response.status_code == 206:
                total = self._total_of_rest(response, start, tag)
            else:
                start = 0
                self._forget()
                length = response.headers.get("Content-Length", "")
                total = int(length) if length.isdigit() else None
            self._check_size(url, total)
            self._tag.write_text(_tag_of(response), encoding="utf-8")
            self._write(response, start, total)

    def _total_of_rest(self, response: requests.Response, start: int, tag: str) -> int | None:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != start or (tag and _tag_of(response) not in ("", tag)):
            self._forget()
            raise _BrokenTransferError(
                f"the server sent another part ({response.headers.get('Content-Range')})"
            )
        return None if found[2] == "*" else int(found[2])

    def _write(self, response: requests.Response, start: int, total: int | None) -> None:
        done = start
        with self.part.open("r+b" if start else "wb") as file:
            file.seek(start)
            for block in response.iter_content(_BLOCK):
                if self.stop.is_set():
                    raise FetchError(f"{self.name}: stopped; fetch again to go on")
                done += len(block)
                if done > self.size:
                    self._check_size(response.url, done)
                file.write(block)
                if self.progress is not None:
                    self.progress(self.name, done, total)
        if total is not None and done != total:
            raise _BrokenTransferError(f"{done} of {total} bytes came")

    def _check_size(self, url: str, found: int | None) -> None:
        """Raise FetchError if a file has, or would have, another size than it should."""
        wrong = found is not None and self.exact and found != self.size
        if wrong or (found or 0) > self.size:
            least = "" if self.exact else "at most "
            self._forget()
            raise FetchError(
                f"{url} has {found} bytes or more, expected {least}{self.size}: the server's file "
                "is another one; correct the size in the manifest, or allow more (option --max-gb)"
            )

    def _forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self._tag.unlink(missing_ok=True)


def _retried(
    url: str,
    attempt: Callable[[], _T],
    transfer: Transfer,
    *,
    got: Callable[[], int] = lambda: 0,
    stop: threading.Event | None = None,
    kept: Path | None = None,
) -> _T:
    """What an attempt gives, repeated while it may help; `got` counts the bytes that have come."""
    stop, most, failures = stop or threading.Event(), got(), 0
    while True:
        try:
            return attempt()
        except (_BrokenTransferError, requests.RequestException) as error:
            if isinstance(error, ValueError) and isinstance(error, requests.RequestException):
                raise FetchError(
                    f"{url}: {error}; correct the manifest"
                ) from None  # an address that is none
            failures = 0 if got() > most else failures + 1
            most = max(most, got())
            if failures > transfer.retries:
                rest = (
                    f"; what came is kept in {kept}" if kept is not None and kept.exists() else ""
                )
                raise FetchError(
                    f"{url} cannot be downloaded: {_reason(error)}, after {failures} attempts "
                    f"without anything new{rest}. Try again later"
                ) from None
            after = error.after if isinstance(error, _BrokenTransferError) else None
            if stop.wait(min(after or transfer.wait * 2 ** max(failures - 1, 0), _LONGEST)):
                raise FetchError(f"{url}: stopped; fetch again to go on") from None


def _get(url: str, transfer: Transfer, headers: Mapping[str, str]) -> requests.Response:
    """The answer to a request, wherever the server sends us on to.

    Raises
    ------
    FetchError
        if that is another host, no https, or without end.
    """
    at = url
    for _ in range(_MOST_REDIRECTS):
        response = requests.get(
            at, stream=True, timeout=transfer.timeout, headers=headers, allow_redirects=False
        )
        if not response.is_redirect:
            return response
        response.close()
        sent = urljoin(at, response.headers["Location"])
        old, new = urlsplit(url), urlsplit(sent)
        if new.scheme != "https" and not (new.scheme == "http" == old.scheme):
            raise FetchError(f"{url} sends us on to {sent}, expected https://; do not use it")
        if new.hostname != old.hostname and new.hostname not in transfer.hosts:
            raise FetchError(
                f"{url} sends us on to {sent}, which is another host; if you trust it, allow it "
                f"with the option --host {new.hostname}"
            )
        at = sent
    raise FetchError(f"{url} sends us on more than {_MOST_REDIRECTS} times; try again later")


def _check_status(url: str, response: requests.Response) -> None:
    if response.status_code in _AGAIN:
        after = response.headers.get("Retry-After", "")
        reason = f"the server answers {response.status_code} {response.reason}"
        raise _BrokenTransferError(reason, float(after) if after.isdigit() else None)
    if response.status_code not in (200, 206):
        raise FetchError(
            f"{url} cannot be downloaded: the server answers {response.status_code} "
            f"{response.reason}; check the address in the manifest"
        )


def _tag_of(response: requests.Response) -> str:
    """What a server that is asked for the rest compares its file with; a weak ETag does not do."""
    tag = str(response.headers.get("ETag", ""))
    return (
        tag if tag and not tag.startswith("W/") else str(response.headers.get("Last-Modified", ""))
    )


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return "the server is silent (timeout)"
    return (
        str(error)
        if isinstance(error, _BrokenTransferError)
        else f"{type(error).__name__}: {error}"
    )
