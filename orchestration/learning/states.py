"""States of learners as decision asks for them: the newest of a placement, or the one of a digest.

Enters: placements and rules, digests. Leaves: `Learned`, from memory where it was read before; a look for newer ones a few times a second. States never change, so what is in
memory is what Postgres holds.
"""

from collections import OrderedDict
from datetime import datetime
from typing import Final

from kernel.canonical import digest_of
from kernel.kernel import Kernel
from kernel.looking import Looking
from orchestration.decision.policies.learned import NOTHING_LEARNED, Learned, from_bytes
from orchestration.decision.policies.rules import Rule, digest_of_rule
from orchestration.learning import online_store as store
from orchestration.learning.errors import StateBroken, UnknownState
from orchestration.learning.library import opened_library
from orchestration.learning.online_store import StateRow

_MOST: Final = 64


class States:
    """One per process and event loop."""

    def __init__(self, kernel: Kernel, seconds: float) -> None:
        self._kernel = kernel
        self._looking = Looking(seconds)
        self._newest: dict[str, StateRow] = {}
        self._states: OrderedDict[str, Learned] = OrderedDict()

    async def newest(self, placement: str, rule: Rule) -> Learned:
        """What is known now; nothing where the newest state was made for another rule."""
        if self._looking.due:
            with self._looking.look():
                async with self._kernel.db.reading() as conn:
                    self._newest = await store.newest_states(conn)
        row = self._newest.get(placement)
        if row is None or row.policy != digest_of_rule(rule):
            return NOTHING_LEARNED
        return await self.state(row.digest)

    async def state(self, digest: str) -> Learned:
        """The state of a digest.

        Raises:
            UnknownState: none is kept under it. StateBroken: it is not what its digest says, or its library refuses it.
        """
        found = self._states.get(digest)
        if found is not None:
            self._states.move_to_end(digest)
            return found
        async with self._kernel.db.reading() as conn:
            content = await store.content(conn, digest)
        if content is None:
            raise UnknownState("expected the digest of a state that is kept, got another")
        if digest_of(content) != digest:
            raise StateBroken(f"expected the bytes that {digest[:19]}… names, got others")
        found = self._states[digest] = from_bytes(content, opened_library)
        if len(self._states) > _MOST:
            self._states.popitem(last=False)
        return found

    def made_at(self, placement: str) -> datetime | None:
        """When the newest state of a placement was made, as of the last look."""
        row = self._newest.get(placement)
        return None if row is None else row.made_at

    def forget_newest(self) -> None:
        """Look again at the next decision."""
        self._looking.forget()
