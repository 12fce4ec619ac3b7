"""What keeps the house in order: erased people stay erased, the log still proves itself, nothing is kept past its time.

Enters: the erasure ledger, the log, the retention schedule. Leaves: counts. Each can be run at any moment, and again.
"""

from typing import TYPE_CHECKING

from orchestration.pipeline.facts import Facts

if TYPE_CHECKING:
    from orchestration.wiring import House


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
