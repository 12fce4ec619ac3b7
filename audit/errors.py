"""Accidents of the audit room: a proof that does not hold, a log that does not agree with itself, a door kept shut."""

from kernel.errors import Conflict, IntegrityError, InvalidInput, NotFound, NotPermitted


class InvalidProof(IntegrityError):
    """A Merkle proof, a root or a size that does not hold."""

    code = "invalid_proof"
    remedy = "Fetch the proof and the checkpoint again; if it still fails, the log or the copy was altered."


class InvalidNote(IntegrityError):
    """A signed note, checkpoint or key that is malformed, unsigned by a known key, or wrongly signed."""

    code = "invalid_note"
    remedy = "Compare the note with the published checkpoint and the key with the one you were given."


class InvalidReceipt(InvalidInput):
    """A receipt file that cannot be read at all."""

    code = "invalid_receipt"
    remedy = "Ask for the receipt again: `candor receipt DECISION --out FILE`."


class LogFork(IntegrityError):
    """The database and what was published tell different stories. Nothing is signed until a person has looked."""

    code = "log_fork"
    remedy = (
        "Stop writers, run `candor audit verify`, and restore the database whose tree contains the published checkpoint; "
        "never delete the published files."
    )


class UnknownLogKey(NotFound):
    """No key of the log has this number."""

    code = "unknown_log_key"
    remedy = "See the numbers: `candor keys log`."


class EntryNotFound(NotFound):
    """No such entry, or it has no place in the tree yet."""

    code = "entry_not_found"
    remedy = "Check the id or index; a fresh entry gets its place within a second, or by `candor audit checkpoint`."


class EntryTooLarge(InvalidInput):
    """A leaf over the 65,535 bytes that tlog-tiles can carry."""

    code = "entry_too_large"
    remedy = "Commit to a digest of the large value instead of naming so many facts."


class SubjectKeyGone(Conflict):
    """An entry was to be sealed under a key that has been destroyed."""

    code = "subject_key_gone"
    remedy = (
        "The person was erased meanwhile: resolve the person again, and record acts about an erasure without a key."
    )


class NotAuthenticated(NotPermitted):
    """No credential, or one that is unknown, expired or revoked (HTTP 401)."""

    code = "not_authenticated"
    remedy = "Send `Authorization: Bearer KEY` with a live key; `candor keys create --scope SCOPE` makes one."


class ScopeMissing(NotPermitted):
    """A live credential without the scope that this act needs (HTTP 403)."""

    code = "scope_missing"
    remedy = "Use a key with the scope that this act needs; `candor keys create --scope SCOPE` makes one."


class WrongOrigin(NotPermitted):
    """A browser key used from another web origin than the one it is bound to (HTTP 403)."""

    code = "wrong_origin"
    remedy = "Use the key on the site it was made for, or make one for this site: `candor keys create --scope browser`."
