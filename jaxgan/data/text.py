"""Text as tokens: windows of characters from a file, or from the documentation that comes with Python."""

import functools
import string
from pathlib import Path

import numpy as np

from jaxgan.errors import UserError

ALPHABET = string.ascii_letters + string.digits + string.punctuation + " "
UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # stands for every character that is not in the alphabet
HELD_OUT = 0.1  # share of the text, at its end, that is not trained on


def vocabulary(alphabet: str = ALPHABET) -> tuple[str, ...]:
    """Returns the characters that tokens stand for: those of the alphabet, then `UNKNOWN`.

    Raises UserError if the alphabet is empty, or has a character twice.
    """
    if not alphabet:
        raise UserError("the alphabet is empty; it needs at least one character")
    if repeated := sorted({c for c in alphabet if alphabet.count(c) > 1}):
        raise UserError(f"the alphabet has {repeated[0]!r} more than once")
    return (*alphabet, UNKNOWN)


@functools.cache
def read_text(path: Path | None = None) -> str:
    """Returns the text of a UTF-8 file, or the documentation of Python's `help`, with single spaces as white space.

    Raises UserError if the file cannot be read, is not UTF-8, or has no text.
    """
    if path is None:
        from pydoc_data.topics import topics

        return _single_spaced("\n".join(topics[name] for name in sorted(topics)))
    try:
        text = _single_spaced(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text at byte {error.start}; convert it, or give another file") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    if not text:
        raise UserError(f"{path} has no text")
    return text


def windows(text: str, length: int, alphabet: str = ALPHABET) -> tuple[np.ndarray, np.ndarray]:
    """Returns windows of the text as tokens, int32 [N, length]: those to train on, and those of its held-out end.

    Each window begins with a word. The two parts have no character in common. Tokens are indices of `vocabulary`.

    Raises UserError if the text is too short for a window in both parts.
    """
    cut = round(len(text) * (1 - HELD_OUT))
    parts = tuple(_windows(part.strip(), length, alphabet) for part in (text[:cut], text[cut:]))
    if min(map(len, parts)) == 0:
        raise UserError(
            f"a text of {len(text)} characters is too short for windows of {length}; use at least "
            f"{round(2 * length / HELD_OUT)}"
        )
    return parts


def _windows(text: str, length: int, alphabet: str) -> np.ndarray:
    tokens = encode(text, alphabet)
    starts = [0, *(i + 1 for i, character in enumerate(text) if character == " ")]
    starts = np.array([i for i in starts if i + length <= len(text)], np.int32)
    return tokens[starts[:, None] + np.arange(length, dtype=np.int32)]


def encode(text: str, alphabet: str = ALPHABET) -> np.ndarray:
    """Returns the tokens of a text, int32 [len(text)]; a character that is not in the alphabet is the last token."""
    index = {character: i for i, character in enumerate(alphabet)}
    return np.array([index.get(character, len(alphabet)) for character in text], np.int32)


def _single_spaced(text: str) -> str:
    return " ".join(text.split())
