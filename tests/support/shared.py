"""Paths of the shared material beside the checkout (cases, data, tools); tests that need it skip where it is absent."""

from pathlib import Path

from tests.support import needs

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def shared_path(name: str) -> Path:
    """The path of ``../shared/<name>``; skips the test, saying so, when there is none."""
    path = SHARED / name
    if not path.exists():
        needs.lacking(f"../shared/{name}", "put the shared material beside the checkout")
    return path
