"""Accidents of identity. No message holds a value of an identifier or a trait."""

from kernel.errors import Conflict, InvalidInput, NotFound


class InvalidIdentifier(InvalidInput):
    """A value cannot be an identifier of its kind."""

    code = "invalid_identifier"
    remedy = "Correct the value, map the column to another kind, or leave it out."


class UnknownKind(InvalidInput):
    """No such identifier kind."""

    code = "unknown_identifier_kind"
    remedy = "Use one of email, phone, login_id, customer_id, device_id, anonymous_id, national_id, group_id."


class InvalidRecord(InvalidInput):
    """A source record lacks what every record must have."""

    code = "invalid_record"
    remedy = "Give source, source key, an aware time of observation, a purpose and a basis."


class PersonNotFound(NotFound):
    """Nobody by that id, or nobody holds that contact."""

    code = "person_not_found"
    remedy = "Check the id or the contact (kind:value); the person may have been erased."


class AmbiguousContact(Conflict):
    """Several people hold the contact, so it does not name one."""

    code = "ambiguous_contact"
    remedy = "Name the person by id; `candor identity show` on each candidate tells them apart."


class PastUnknown(Conflict):
    """The graph of that moment cannot be asked whole."""

    code = "identity.past_unknown"
    remedy = "Ask about a later moment: who might have been the same was not kept for graphs before this version."


class RecordNotFound(NotFound):
    """A record that was named does not exist."""

    code = "record_not_found"
    remedy = "Check the record id; clusters must come from this installation's linkage table."


class UnknownJudgement(NotFound):
    """No such judgement, or it was taken back."""

    code = "unknown_judgement"
    remedy = "List them: candor identity judgements PERSON."


class WishIncomplete(InvalidInput):
    """An act of staff that names too little, or too much."""

    code = "act_incomplete"
    remedy = "Name two people to merge; one to unmerge; one and records to split; one and a record to pin."


class LinkageNotReady(NotFound):
    """A step of the linkage run that needs an earlier one."""

    code = "linkage_not_ready"
    remedy = "Run the whole walk: candor pipeline run."


class RunNotFound(NotFound):
    """No run of the linkage has this id."""

    code = "identity.run_not_found"
    remedy = "List them: candor identity runs."


class RunNotHeld(Conflict):
    """There is nothing to overrule."""

    code = "identity.run_not_held"
    remedy = "Only the newest run, while it is held, can be allowed, once: candor identity runs."
