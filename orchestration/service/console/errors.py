"""Accidents of the console: no login, a form that is not ours, too many tries."""

from audit.errors import NotAuthenticated, ScopeMissing
from kernel.errors import InvalidInput, NotPermitted, Unavailable


class LoginNeeded(NotAuthenticated):
    """No session, or one that ended; a page sends its reader to the login, a program is told to bring a key."""


class NotYourPage(ScopeMissing):
    """A member of staff without the scope that this page needs."""

    remedy = "Ask a colleague who has one of these scopes, or an operator to widen yours: `candor staff add`."


class ForeignForm(NotPermitted):
    """A form that did not come from a page of this session."""

    code = "form_refused"
    remedy = "Open the page again and send the form from there."


class TooManyTries(Unavailable):
    """Too many logins with this name or from this address (HTTP 429)."""

    code = "too_many_tries"
    remedy = "Wait a quarter of an hour, then try again."


class FormIncomplete(InvalidInput):
    """A form without something that it needs."""

    code = "form_incomplete"
    remedy = "Fill in every field of the form and send it again."
