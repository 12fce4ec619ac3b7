"""Accidents of profiles. No message holds a trait's value."""

from typing import Final

from kernel.errors import Conflict, InvalidInput, NotFound


class DeclarationInvalid(InvalidInput):
    """A file of features, segments or survivorship rules does not hold together."""

    code = "bad_declaration"
    remedy = "Correct the named place of the file; docs and the shipped file show the form."


class NotTheFilter(Conflict):
    """Somebody tried to make a UnifiedProfile without asking for consent."""

    code = "not_the_filter"
    remedy = "Call profiles.consent_filter.see: there is no other way to a unified profile."


class OutOfTime(InvalidInput):
    """A row was asked for a moment that the profile does not reach."""

    code = "profile_out_of_time"
    remedy = "Make the profile for the moment of the row, or for a later one."


class NobodyThere(NotFound):
    """No live person by that id."""

    code = "person_not_found"
    remedy = "Follow redirects with identity.lookup first; the person may have been erased."


NOBODY: Final = "expected a live person, got an id that is unknown, retired or erased"
