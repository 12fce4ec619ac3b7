"""What a person says of a decision, kept and acted on.

Enters: an explanation, a word. Leaves: the word with its entry, in one transaction with what it does; the lever behind the control, pulled once more before it acts, so
that the tally of promises knows whether it still held (`promises.py`).
"""

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from explain import store
from explain.controls import lever_of, named, offered
from explain.explanation import Content
from explain.facts import Decide
from explain.feedback import ONCE, Feedback, OnCorrection, OnFeedback, Said
from explain.promises import Promises
from kernel.errors import CandorError
from kernel.kernel import Kernel
from kernel.log import get_logger

_log = get_logger("explain.hearing")


class Hearing:
    """Stands at `Explain.hearing`."""

    def __init__(self, kernel: Kernel, audit: Audit, promises: Promises) -> None:
        self._kernel = kernel
        self._audit = audit
        self._promises = promises
        # Called in the transaction that keeps what a person said; orchestration hooks in here.
        self.on_feedback: list[OnFeedback] = []
        # Called before it: a request has a transaction, a clock and a twin of its own.
        self.on_correction: OnCorrection | None = None

    async def hear(self, content: Content, word: Said, decide: Decide | None) -> bool:
        """As `Explain.feedback` says."""
        if not offered(content, word):
            return False
        facts, tag = content.facts, ONCE.get(word.kind, Tag.FEEDBACK_GIVEN)
        if word.kind is Feedback.CORRECT and await self._promises.said_before(facts.decision_id, word):
            return False  # each word that staff must answer is one a page and kind: a link may be passed on
        if word.kind is Feedback.CORRECT and self.on_correction is not None:
            await self.on_correction(facts, word, named(content)[word.subject])
        lever = lever_of(content, word)
        flipped = None
        if lever is not None and decide is not None:
            try:
                flipped = await self._promises.again(decide, facts.decision_id, lever, facts.choice)
            except (
                CandorError
            ) as fault:  # a record or a model is gone: what she asks for does not wait for a count of ours
                _log.warning("lever_not_pulled_again", decision=facts.decision_id, code=fault.code)
        entry = NewEntry(
            tag, {"decision": facts.decision_id}, {"said": str(word.kind)}, key_id=facts.key_id, actor="person"
        )
        chosen = None if facts.nothing_chosen or facts.chosen is None else facts.chosen.content
        async with self._kernel.db.transaction() as conn:
            at = self._kernel.clock.now()
            fresh = await self._promises.used(conn, content, word, at, flipped=flipped)
            if word.kind in ONCE:
                fresh = await store.add_feedback(
                    conn, facts.decision_id, word.kind, person=facts.person, key_id=facts.key_id, content=chosen, at=at
                )
            if fresh:
                await self._audit.append(conn, [entry])
            for hook in self.on_feedback if fresh or word.kind not in ONCE else ():
                await hook(conn, facts, word)
        return fresh
