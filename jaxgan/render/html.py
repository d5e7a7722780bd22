"""Pages of HTML from the jinja2 templates in `templates`. Pictures and audio are inlined, so a page is one file."""

import base64
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from jaxgan.errors import UserError
from jaxgan.io import atomic

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write_page(path: Path, template: str, **context: Any) -> Path:
    """Renders the template of that file name with `context`, writes the page to `path` and returns `path`.

    Strings in the context are escaped, `Markup` is not. Raises UserError if the page cannot be written.
    """
    text = TEMPLATES.get_template(template).render(context)
    try:
        atomic.write_text(path, text)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from error
    return path


MEDIA_TYPES = {".png": "image/png", ".gif": "image/gif", ".webp": "image/webp", ".wav": "audio/wav"}


def media_tag(path: Path, alt: str) -> Markup:
    """Returns an element that shows a picture, animation, WAV or text file. Its contents are inlined.

    Args:
        path: The file.
        alt: Description for readers who cannot see or hear it.
    """
    if path.suffix == ".txt":
        return Markup("<pre>{}</pre>").format(path.read_text(encoding="utf-8"))
    tags = {
        "image": '<img src="{}" alt="{}" style="width: 100%">',
        "audio": '<audio controls src="{}" title="{}"></audio>',
    }
    kind = MEDIA_TYPES[path.suffix]
    return Markup(tags[kind.split("/")[0]]).format(_data_url(path.read_bytes(), kind), alt)


def image_tag(png: bytes, alt: str, width: float = 1.0) -> Markup:
    """Returns an `img` element with an inlined PNG file.

    Args:
        png: Contents of the file.
        alt: Description for readers who cannot see the picture.
        width: Fraction of the width of the enclosing element.
    """
    tag = Markup('<img src="{}" alt="{}" style="width: {:.0%}">')
    return tag.format(_data_url(png, "image/png"), alt, width)


def _data_url(data: bytes, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
