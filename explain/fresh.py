"""An explanation between its making and its keeping: the row it becomes, and the entry that names it.

Enters: content, its digest, sealed bytes. Leaves: `store.Row` and a `NewEntry`.
"""

from dataclasses import dataclass
from datetime import datetime

from audit.entries import NewEntry
from audit.tags import Tag
from explain import store
from explain.explanation import Content
from kernel.canonical import Json
from kernel.ids import DecisionId


@dataclass(frozen=True, slots=True)
class Fresh:
    """Made and sealed, not yet kept. `checked`: SHAP agreed."""

    content: Content
    named: str
    body: bytes
    checked: bool

    @property
    def decision_id(self) -> DecisionId:
        """Which decision it explains."""
        return self.content.facts.decision_id

    def row(self, at: datetime) -> store.Row:
        """As it is stored."""
        facts = self.content.facts
        return store.Row(
            decision_id=facts.decision_id, person=facts.person, digest=self.named, body=self.body, key_id=facts.key_id, made_at=at
        )  # fmt: skip

    def entry(self) -> NewEntry:
        """As the log names it."""
        facts = self.content.facts
        said: dict[str, Json] = {
            "explanation": self.named, "procedure": str(self.content.procedure), "verified": self.checked,
        }  # fmt: skip
        return NewEntry(Tag.EXPLANATION_MADE, {"decision": facts.decision_id}, said, key_id=facts.key_id)
