"""Why staff overrule the gate of linkage runs. Alone in its module: the command line names it before anything else is loaded."""

from enum import StrEnum


class Because(StrEnum):
    """Why staff overrule the gate, as one of these words: free words would hold personal ones sooner or later."""

    LOOKED = "looked"  # the figures and some of the people were looked at
    NEW_SOURCE = "new_source"  # a source came or went
    RULES_CHANGED = "rules_changed"  # kinds, policy or cleaning were changed on purpose
    URGENT = "urgent"  # an older graph is worse
