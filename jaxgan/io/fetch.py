"""Downloads that are verified by a digest and resumed after an interruption."""

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

from jaxgan.errors import SystemFailure

TIMEOUT = 30.0  # seconds without a byte
CHUNK_BYTES = 1 << 18


def fetch(url: str, path: Path, sha256: str) -> str:
    """Downloads `url` to `path`, unless it is already there, and returns its SHA-256.

    The file is named `path`.part until it is complete and verified; a later call resumes it. If several processes ask
    for the same file, one of them downloads it and the others wait. Raises SystemFailure if the file cannot be
    downloaded or written, or has another digest.

    Args:
        url: Address, http or https.
        path: Destination. Missing parent folders are created.
        sha256: The expected digest in hexadecimal, or its first digits.
    """
    part = path.with_name(path.name + ".part")
    with _write_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_name(path.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # The kernel releases it when the process ends, even by a crash.
            if path.exists():
                digest = file_digest(path)
                if not digest.startswith(sha256):
                    raise SystemFailure(
                        f"{path} has SHA-256 {digest} and not {sha256}; delete it and repeat the command"
                    )
                return digest
            _download(url, path, part)
            digest = file_digest(part)
            if not digest.startswith(sha256):
                part.unlink()
                raise SystemFailure(
                    f"{url} gave a file with SHA-256 {digest} and not {sha256}, which was deleted; "
                    f"try again, or put the right file at {path}"
                )
            os.replace(part, path)
            return digest


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, path: Path, part: Path) -> None:
    """Appends to `part` until it is complete. On a SystemFailure it keeps the bytes that arrived."""
    start = part.stat().st_size if part.exists() else 0
    range_header = {"Range": f"bytes={start}-"} if start else {}
    request = urllib.request.Request(url, headers={"User-Agent": "jaxgan", **range_header})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # Range not satisfiable: `part` is already complete.
            return
        raise SystemFailure(
            f"{url} answers {error.code} {error.reason}; try later, or put the file at {path}"
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise SystemFailure(f"cannot reach {url}: {_reason(error)}; connect, or put the file at {path}") from error
    if response.status != 206:  # The server ignored the range and sends the whole file.
        start = 0
    length = response.headers.get("Content-Length")
    total = start + int(length) if length else None
    bar = tqdm(desc=path.name, initial=start, total=total, unit="B", unit_scale=True, disable=None)
    with response, bar, part.open("ab" if start else "wb") as file:
        for chunk in _chunks(response, url):
            file.write(chunk)
            bar.update(len(chunk))
    size = part.stat().st_size
    if total is not None and size < total:
        raise SystemFailure(_interrupted(url, f"{size:,} of {total:,} bytes arrived"))


def _chunks(response: http.client.HTTPResponse, url: str) -> Iterator[bytes]:
    try:
        while chunk := response.read(CHUNK_BYTES):
            yield chunk
    except (OSError, http.client.HTTPException) as error:
        raise SystemFailure(_interrupted(url, _reason(error))) from error


def _interrupted(url: str, reason: str) -> str:
    return f"the download of {url} was interrupted: {reason}; the same command resumes it"


def _reason(error: Exception) -> str:
    error = getattr(error, "reason", error)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@contextlib.contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    """Turns an OSError into a SystemFailure that names the folder."""
    try:
        yield
    except OSError as error:
        raise SystemFailure(
            f"cannot write to {folder}: {error.strerror}; free some space, or set $XDG_CACHE_HOME to another folder"
        ) from error
