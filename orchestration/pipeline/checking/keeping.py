"""Checks of what keeps the house in order.

Enters: the ledger, the log. Leaves: `Found`.
"""

from typing import TYPE_CHECKING

from orchestration.pipeline.facts import Fact, Found

if TYPE_CHECKING:
    from orchestration.wiring import House


async def nothing_overdue(house: "House") -> Found:
    """Nothing is left that is past its time and held back by nobody, and no kind of thing lacks a rule."""
    report = await house.retention.preview()
    due = sum(line.due for line in report.lines)
    figures: dict[str, Fact] = {
        "rules": len(report.lines),
        "overdue": due,
        "held_back": sum(line.held for line in report.lines),
        "kinds_without_a_rule": len(report.unruled),
    }
    return Found(due == 0 and not report.unruled, figures)


async def nobody_came_back(house: "House") -> Found:
    """Nobody whom the erasure ledger names is alive in the database."""
    back = await house.rights.came_back()
    return Found(not back, {"named_by_the_ledger": len(house.rights.ledger.lines()), "came_back": len(back)})


async def chain_verifies(house: "House") -> Found:
    """Every checkpoint ever signed follows from the leaves, and every published file from the tiles."""
    report = await house.audit.verify_log(openings=False)
    figures = {
        "entries": report.size,
        "checkpoints": report.checkpoints,
        "files": report.files,
        "findings": len(report.findings),
    }
    return Found(report.ok, figures | {f"finding_{place}": one.code for place, one in enumerate(report.findings[:5])})
