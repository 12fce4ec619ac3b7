"""What keeps the house in order: erased people stay erased, the log still proves itself, nothing is kept past its time.

Enters: the erasure ledger, the log, the retention schedule. Leaves: counts. Each can be run at any moment, and again.
"""

from typing import TYPE_CHECKING

from orchestration.pipeline.facts import Fact, Facts, key

if TYPE_CHECKING:
    from orchestration.wiring import House


async def retention(house: "House") -> Facts:
    """Remove what is past its time, by the schedule; one figure a rule that found anything."""
    report = await house.retention.run()
    facts: dict[str, Fact] = {
        "rules": len(report.lines),
        "gone": sum(line.gone for line in report.lines),
        "held_back": sum(line.held for line in report.lines),
        "kinds_kept_for_ever": len(report.unruled),
    }
    facts |= {key("on_their_day", what): count for what, count in report.on_their_day.items()}
    return facts | {key(line.kind, *filter(None, [line.purpose])): line.gone for line in report.lines if line.gone}


async def erasure_replay(house: "House") -> Facts:
    """After a restore, erase again whoever the ledger names and the database holds."""
    back = await house.rights.replay()
    return {"erased_again": len(back), "named_by_the_ledger": len(house.rights.ledger.lines())}


async def checkpoint_verification(house: "House") -> Facts:
    """Sign what waits, then derive the whole log anew from its leaves and compare."""
    await house.audit.sequence()
    report = await house.audit.verify_log(openings=False)
    return {
        "entries": report.size,
        "checkpoints": report.checkpoints,
        "files": report.files,
        "waiting": report.waiting,
        "findings": len(report.findings),
    }
