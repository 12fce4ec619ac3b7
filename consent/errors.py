"""Accidents of this room. A "no" is never one of these: it is a ``Permission`` with a reason."""

from kernel.errors import Conflict, IntegrityError, InvalidInput, NotFound, NotPermitted


class PurposesInvalid(InvalidInput):
    """The file of purposes or precedence does not hold together."""

    code = "consent.purposes_invalid"
    remedy = "Correct the file named in the message; consent/data/purposes.yaml shows the form."


class RulesUnsigned(IntegrityError):
    """The settings demand that the rules are signed, and they are not, or they are not what was signed."""

    code = "consent.rules_unsigned"
    remedy = (
        "Read what changed with whoever answers for the rules; then have them sign with `candor consent sign-rules` and "
        "name the file in CANDOR_CONSENT__RULES_SIGNATURE."
    )


class RulesOfThen(Conflict):
    """What was in force at a moment can no longer be read by this version."""

    code = "consent.rules_of_then"
    remedy = "Ask the version of Candor that ran then; `candor consent rules --history` names what was in force when."


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


class CheckNeeded(Conflict):
    """Who asks was not checked as closely as this right needs."""

    code = "consent.check_needed"
    remedy = "Check who asks, then note it: `candor rights check REQUEST --method document`."


class CheckFailed(Conflict):
    """The identity check did not go well."""

    code = "consent.check_failed"
    remedy = "Check again with better evidence, or refuse the request as insuf_verification."


class Replanned(Conflict):
    """Who the person is changed since an erasure was approved: it is planned anew, not carried out blindly."""

    code = "consent.replanned"
    remedy = "Look at the preview again, and let a second officer approve what it shows now."


class HolderMissing(IntegrityError):
    """A room keeps rows about people and cannot be asked for them."""

    code = "consent.holder_missing"
    remedy = "Register the room in orchestration/wiring.py; without it an answer would silently leave things out."


class NothingToCorrect(Conflict):
    """What is called wrong is not held of the person."""

    code = "consent.nothing_to_correct"
    remedy = "Look at what is held with an access request; name the detail as it is named there."


class ProcessorInvalid(InvalidInput):
    """A processor cannot be written to as it is described."""

    code = "consent.processor_invalid"
    remedy = "Give https addresses and the processor's Ed25519 public key (32 bytes, base64)."


class AgentRefused(NotPermitted):
    """A request of an agent is not signed by it, not for us, not of now, or not its own."""

    code = "consent.agent_refused"
    remedy = (
        "Sign the request with the registered key, address it to our business-id and send it within its ten minutes."
    )


class TooLate(Conflict):
    """A due date can only be moved before it."""

    code = "consent.too_late"
    remedy = "Answer now, and say why it is late."


class UnknownRight(InvalidInput):
    """A word that is the name of no right."""

    code = "consent.unknown_right"
    remedy = "Name one of these rights and open the request again."


class FourEyes(Conflict):
    """The same person may not open and approve an erasure."""

    code = "consent.four_eyes"
    remedy = "Ask another member of staff to approve."


class IdempotencyMismatch(InvalidInput):
    """An Idempotency-Key came again with another content."""

    code = "consent.idempotency_mismatch"
    remedy = "Use a new Idempotency-Key for a new request."


class NoticeUnknown(InvalidInput):
    """A visitor's yes names no notice that staff published here, or one that does not list what she agreed to."""

    code = "consent.notice_unknown"
    remedy = (
        "Publish the words first: candor consent notice VERSION --text TEXT --lists PURPOSE; then name that version."
    )


class NoticeChanged(Conflict):
    """A notice keeps its words: acts refer to it."""

    code = "consent.notice_changed"
    remedy = "Publish the changed words under another version."


class NotOfTheWeb(InvalidInput):
    """A page cannot ask about a purpose of other channels: the visitor's web id is no contact of them."""

    code = "consent.not_of_the_web"
    remedy = "Ask on the page for marketing.web, marketing.personalize, marketing, analytics, sharing or a purpose of your own on the web."


class RetentionInvalid(InvalidInput):
    """The retention schedule does not hold together."""

    code = "consent.retention_invalid"
    remedy = "Correct the file; consent/data/retention.yaml shows the form, `candor retention run --dry-run` lists the kinds."


class HeldBack(Conflict):
    """Somebody placed a hold on what an erasure would remove."""

    code = "consent.held_back"
    remedy = "Look with `candor retention holds`; lift the hold, or deny the request with its ground."


class HoldNotFound(NotFound):
    """No hold of this id stands."""

    code = "consent.hold_not_found"
    remedy = "List those that stand with `candor retention holds`."


class UnknownSection(InvalidInput):
    """A GPP string has no section of this name."""

    code = "consent.unknown_section"
    remedy = "Use a name of consent/data/gpp.yaml, for example usnat, tcfeuv2 or uspv1."


class CopyInvalid(InvalidInput):
    """A copy of the keys database cannot be noted as it is described."""

    code = "consent.key_copy_invalid"
    remedy = "Name a file of this machine, or say with --elsewhere where else it lies; docs/keys.md says how long a copy may be kept."


class CopyNotFound(NotFound):
    """No copy of this id stands."""

    code = "consent.key_copy_not_found"
    remedy = "List them with `candor keys copies`."
