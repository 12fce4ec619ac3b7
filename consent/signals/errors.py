"""Why a consent string cannot be read. Codes are stable: the command line prints them and acts keep them."""

from enum import StrEnum

from kernel.errors import InvalidInput


class Why(StrEnum):
    """What is wrong with the string."""

    EMPTY = "empty"
    TOO_LONG = "too_long"
    NOT_BASE64URL = "not_base64url"
    NOT_BITS = "not_bits"
    TRUNCATED = "truncated"
    TRAILING = "trailing_bits"
    NOT_A_LETTER = "not_a_letter"
    BAD_RANGE = "bad_range"
    BAD_TYPE = "bad_type"
    UNSUPPORTED_VERSION = "unsupported_version"
    UNKNOWN_SEGMENT = "unknown_segment"
    REPEATED_SEGMENT = "repeated_segment"
    UNKNOWN_SECTION = "unknown_section"
    SECTIONS_MISMATCH = "sections_mismatch"
    BAD_FIELD = "bad_field"


class Undecodable(InvalidInput):
    """A consent string that cannot be read: a no to whatever it was about."""

    code = "consent.signal_undecodable"
    remedy = "Ask the sender for the whole string; until then it counts as a no."

    def __init__(self, why: Why) -> None:
        super().__init__(f"expected a readable consent string, got one that is unreadable: {why}")
        self.why = why
