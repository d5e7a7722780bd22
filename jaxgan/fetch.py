"""Files from the network: checked by their digest, and resumed where a download was cut off."""

import contextlib
import fcntl
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from jaxgan.errors import Failed

TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 18  # bytes at a time


def fetch(url: str, path: Path, sha256: str) -> str:
    """Have the file of that address at `path`, downloaded unless it is there, and return its SHA-256.

    Until it is whole and checked it is named `.part`, and a later call goes on from there. Of processes that want the
    same file one fetches it. Raises Failed if it cannot be had, or is not the file that was meant.

    Args:
        url: Where it is, by http or https.
        path: Where it shall be.
        sha256: The digest in hexadecimal, or how it begins.
    """
    part = path.with_name(path.name + ".part")
    with _writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(path.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # The kernel lets go of it when the process ends, however it ends.
            if path.exists():
                found = digest(path)
                if not found.startswith(sha256):
                    raise Failed(f"{path} has SHA-256 {found} and not {sha256}; delete it, and it is fetched again")
                return found
            _download(url, path, part)
            found = digest(part)
            if not found.startswith(sha256):
                part.unlink()
                raise Failed(
                    f"{url} gave a file with SHA-256 {found} and not {sha256}, which was deleted; "
                    f"try again, or put the right file at {path}"
                )
            os.replace(part, path)
            return found


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, path: Path, part: Path) -> None:
    """Bring the part to its full length. Failed, whatever the network does; what came before stays in the part."""
    start = part.stat().st_size if part.exists() else 0
    wanted = {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(url, headers={"User-Agent": "jaxgan", **wanted})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # Nothing is left to send.
            return
        raise Failed(f"{url} answers {error.code} {error.reason}; try later, or put the file at {path}") from error
    except (OSError, http.client.HTTPException) as error:
        raise Failed(f"cannot reach {url}: {_reason(error)}; connect, or put the file at {path}") from error
    if response.status != 206:  # The server sends the whole of it, asked or not.
        start = 0
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    bar = tqdm(desc=path.name, initial=start, total=total, unit="B", unit_scale=True, disable=None)
    with response, bar, part.open("ab" if start else "wb") as file:
        for chunk in _chunks(response, url):
            file.write(chunk)
            bar.update(len(chunk))
    came = part.stat().st_size
    if total is not None and came < total:
        raise Failed(_interrupted(url, f"{came:,} of {total:,} bytes came"))


def _chunks(response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    try:
        while chunk := response.read(CHUNK):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise Failed(_interrupted(url, _reason(error))) from error


def _interrupted(url: str, why: str) -> str:
    return f"the download of {url} was interrupted: {why}; the same command goes on from there"


def _reason(error: Exception) -> str:
    error = getattr(error, "reason", error)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Failed(f"cannot write to {folder}: {error.strerror}; make room, or set $XDG_CACHE_HOME") from error
