"""Paths of the shared material beside the checkout (cases, data, tools); tests that need it skip where it is absent."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def shared_path(name: str) -> Path:
    """The path of ``../shared/<name>``; skips the test, saying so, when there is none."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"../shared/{name} is not beside this checkout")
    return path
