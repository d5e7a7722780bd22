"""The log."""

import sys

import pytest

from jaxgan import metrics


def test_a_module_that_was_not_imported_cannot_be(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    with metrics.without("colorsys"), pytest.raises(ImportError):
        import colorsys
    import colorsys

    with metrics.without("colorsys"):
        import colorsys as again
    assert again is colorsys is sys.modules["colorsys"]
