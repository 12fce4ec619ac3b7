"""The migration folders of all rooms that have any, in the order of the floors."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The rooms above the kernel, in the order of the chain.
FOLDERS = (
    "audit", "identity", "consent", "events", "profiles", "channels", "explain",
    "orchestration/decision", "orchestration/learning",
)  # fmt: skip


def folders() -> list[Path]:
    """Every ``<room>/migrations`` that holds a revision."""
    return [folder for folder in (ROOT / room / "migrations" for room in FOLDERS) if any(folder.glob("[0-9]*.py"))]
