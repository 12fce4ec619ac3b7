"""The migration folders of all rooms that have any, in the order of the floors."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# The chain as doors.md numbers it.
CHAIN = (
    "0001_kernel", "0002_audit", "0003_identity", "0004_consent", "0005_events", "0006_profiles", "0007_channels",
    "0008_explain", "0009_decision", "0010_learning", "0011_channels_receipts", "0012_channels_push", "0013_channels_web", "0014_identity_reviews", "0014_items", "0015_consent_retention",
)  # fmt: skip

# The rooms above the kernel, in the order of the chain.
FOLDERS = (
    "audit", "identity", "consent", "events", "profiles", "channels", "explain",
    "orchestration/decision", "orchestration/learning", "orchestration/triggers",
)  # fmt: skip


def folders() -> list[Path]:
    """Every ``<room>/migrations`` that holds a revision."""
    return [folder for folder in (ROOT / room / "migrations" for room in FOLDERS) if any(folder.glob("[0-9]*.py"))]


def bridges(into: Path) -> list[Path]:
    """Empty revisions for rooms without one yet, so that the rooms above them can be tested before they are there."""
    present = {file.stem for folder in folders() for file in folder.glob("[0-9]*.py")} | {CHAIN[0]}
    into.mkdir(parents=True, exist_ok=True)
    missing = [place for place, name in enumerate(CHAIN) if name not in present]
    for place in missing:
        words = f'revision = "{CHAIN[place]}"\ndown_revision = "{CHAIN[place - 1]}"\n\n\ndef upgrade():\n    pass\n'
        (into / f"{CHAIN[place]}.py").write_text(words)
    return [into] if missing else []
