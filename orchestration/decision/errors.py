"""What can go wrong while deciding. A "no" is not here: it is a rejection or a withheld decision, with its reason."""

from kernel.errors import Conflict, InvalidInput, NotFound, NotPermitted, Unavailable


class CatalogueInvalid(InvalidInput):
    """The catalogue file does not say what a catalogue must say; `problems` name every place."""

    code = "catalogue_invalid"
    remedy = "Correct the named places of the catalogue file and import it again; nothing of it was taken."


class ContentChanged(Conflict):
    """A published variant is immutable: receipts and edge caches refer to it by its id."""

    code = "content_changed"
    remedy = "Give the changed content a new variant id, or restore the published text; nothing was imported."


class UnknownPlacement(NotFound):
    """No placement of that name in the catalogue that rules now."""

    code = "unknown_placement"
    remedy = "Import a catalogue that declares it: candor import catalogue FILE."


class NoCatalogue(NotFound):
    """Nothing can be decided before a catalogue was imported."""

    code = "no_catalogue"
    remedy = "Import one first: candor import catalogue FILE."


class UnknownCandidate(NotFound):
    """The decision did not look at such a candidate."""

    code = "unknown_candidate"
    remedy = "Read the decision first (GET /v1/decisions/{id}) and name one of its candidates."


class UnknownDecision(NotFound):
    """No decision with this id."""

    code = "unknown_decision"
    remedy = "Check the id; dry runs are not kept."


class DecisionRedacted(NotFound):
    """The decision was made, but the person's keys are destroyed: its content cannot be opened by anyone."""

    code = "decision_redacted"
    remedy = "Nothing to do: the person was erased; the log entry and its proof remain valid."


class NotYourDecision(NotPermitted):
    """The subject of the request may not be chosen by this caller."""

    code = "no_subject"
    remedy = "Send either person or identifiers, not both and not neither."


class SubjectAmbiguous(InvalidInput):
    """A request names nobody, or names a person in two ways."""

    code = "subject"
    remedy = "Send either person (a person id or kind:value) or identifiers, exactly one of them."


class StandingMoved(Conflict):
    """Another request of the same visitor decided this placement first; nothing was written."""

    code = "standing_moved"
    remedy = "Read what stands there now: that is the answer."


class AlreadyDecided(Conflict):
    """A decision is kept under the id that the request brought; nothing was written."""

    code = "already_decided"
    remedy = "Read the decision with that id: it is the answer."


class ModelFailed(Unavailable):
    """A model raised while it scored, or gave another number of scores. The decision goes on by rules, and its record says so."""

    code = "model_failed"
    remedy = "Take the model back (candor learn rollback PLACEMENT) or train again (candor learn train PLACEMENT); the log names it."
