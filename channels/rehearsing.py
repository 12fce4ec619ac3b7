"""A rehearsal: does a connector take a message, without anybody getting one?

Enters: a connector. Leaves: the outcome of one message with the real sender, sent to an address that cannot exist through the connector's own
sandbox, and the promises it breaks there. A connector that has no sandbox is not tried (spec channels.A12).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from channels.conformance import broken_promises, sample
from channels.connector import Answer, Closed, Connector, Fault, Inspected, Outcome, Rehearsed, Unreached
from channels.settings import ChannelsSettings

NOBODY: Final = "check@candor.invalid"  # RFC 2606: this domain can never exist
_PATIENCE: Final = timedelta(seconds=15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What was found. `outcome` None: not tried. `broken`: promises of the connector contract that it does not keep."""

    channel: str
    connector: str
    outcome: Outcome | None
    broken: tuple[str, ...]
    faults: tuple[Fault, ...]

    @property
    def ok(self) -> bool:
        """Whether messages would leave."""
        taken = self.outcome is None or self.outcome.answer is Answer.ACCEPTED
        return taken and not self.broken and not self.faults


async def rehearse(connector: Connector, settings: ChannelsSettings, folder: Path, now: datetime) -> Rehearsal:
    """Try one connector."""
    found = Rehearsal(
        channel=connector.channel, connector=connector.name, outcome=None, broken=(), faults=tuple(faults(connector))
    )
    if not isinstance(connector, Rehearsed):
        return found
    stage = connector.rehearsal(folder)
    to = connector.nobody if isinstance(connector, Unreached) else NOBODY
    try:
        like = replace(
            sample(to, now), channel=connector.channel,
            sender_name=settings.sender_name, sender_address=settings.sender_address,
        )  # fmt: skip
        outcome = await stage.send(like, like.delivery_id, now + _PATIENCE)
        broken = await broken_promises(stage, to=to, at=now, like=like) if outcome.answer is Answer.ACCEPTED else []
        await stage.forget(like.delivery_id, like.reserved_at)
    finally:
        if isinstance(stage, Closed):
            await stage.close()
    return replace(found, outcome=outcome, broken=tuple(broken))


def faults(connector: Connector) -> list[Fault]:
    """What is wrong with a connector's configuration."""
    return list(connector.faults()) if isinstance(connector, Inspected) else []
