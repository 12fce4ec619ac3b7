"""A second reading of the rules, for measurements: what somebody permits, worked out by another road than the gate's.

Enters: what was said, as plain words, and who is whom. Leaves: yes or no. It knows only consent, in a jurisdiction that asks for it, and only the kinds of words that
the measurement says; it is short on purpose, so that it can be read beside consent.C4 to C7 and C14.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

EVERYTHING: Final = "*"
WIDER: Final = "marketing"  # the purpose above both that are asked about
# What takes a no back, by how the no was said.
LIFTS: Final = {
    "form": {"form", "import"},
    "one_click": {"form"},
    "restriction": {"restriction_lifted"},
}


@dataclass(frozen=True, slots=True)
class Said:
    """One word. ``listed``: the notice of a wider purpose named those below it; ``sound``: with notice and time."""

    subject: str
    purpose: str
    yes: bool
    how: str
    at: datetime
    until: datetime | None = None
    sound: bool = True
    listed: bool = False

    def holds(self, now: datetime) -> bool:
        """Whether it is a yes that counts now."""
        return self.yes and self.sound and self.at <= now and (self.until is None or now < self.until)


def permits(said: Iterable[Said], own: Collection[str], near: Collection[str], purpose: str, now: datetime) -> bool:
    """Whether somebody who has ``own``, and may be whoever has ``near``, permits the purpose."""
    heard = [one for one in said if one.at <= now and one.purpose in {purpose, WIDER, EVERYTHING}]
    good = [one for one in heard if one.holds(now)]
    for no in heard:
        if no.yes or no.subject not in {*own, *near}:
            continue
        if not any(
            yes.at > no.at and (yes.subject, yes.purpose) == (no.subject, no.purpose) and yes.how in LIFTS[no.how]
            for yes in good
        ):
            return False
    return any(yes.subject in own and (yes.purpose == purpose or (yes.purpose == WIDER and yes.listed)) for yes in good)
