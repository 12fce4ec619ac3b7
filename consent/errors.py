"""Accidents of this room. A "no" is never one of these: it is a ``Permission`` with a reason."""

from kernel.errors import Conflict, InvalidInput, NotFound


class PurposesInvalid(InvalidInput):
    """The file of purposes or precedence does not hold together."""

    code = "consent.purposes_invalid"
    remedy = "Correct the file named in the message; consent/data/purposes.yaml shows the form."


class ActIncomplete(InvalidInput):
    """A consent act lacks what makes it evidence."""

    code = "consent.act_incomplete"
    remedy = "Give the missing field; a grant needs notice (text hash, version, language), mechanism and time."


class UnknownPurpose(InvalidInput):
    """The purpose is not on the list."""

    code = "consent.unknown_purpose"
    remedy = "Use a key of consent/data/purposes.yaml, or add it in the file named by CANDOR_CONSENT__PURPOSES_FILE."


class UnknownSubject(NotFound):
    """Nobody and nothing is known under the subject of an act."""

    code = "consent.unknown_subject"
    remedy = "Give an identifier id (idn_…) or a record id (rec_…) of this installation."


class RequestNotFound(NotFound):
    """No subject request has this id."""

    code = "consent.request_not_found"
    remedy = "List requests with `candor rights list`."


class RequestState(Conflict):
    """The subject request is not in the state that this step needs."""

    code = "consent.request_state"
    remedy = "Look at it with `candor rights show`; erasure goes open, approve (by another person), run."


class FourEyes(Conflict):
    """The same person may not open and approve an erasure."""

    code = "consent.four_eyes"
    remedy = "Ask another member of staff to approve."


class IdempotencyMismatch(InvalidInput):
    """An Idempotency-Key came again with another content."""

    code = "consent.idempotency_mismatch"
    remedy = "Use a new Idempotency-Key for a new request."
