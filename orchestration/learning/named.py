"""Features that policies and activations name: an import refuses those that nobody has; what is declared may change later.

Enters: the catalogue that rules, the names of declared features. Leaves: a fault with its remedy, for `candor doctor`.
"""

from collections.abc import Sequence

from orchestration.decision.catalogue import named_features
from orchestration.decision.errors import NoCatalogue
from orchestration.decision.shelf import Shelf


async def undeclared(shelf: Shelf, known: Sequence[str]) -> list[str]:
    """At most one fault: features that were declared when the catalogue was imported, but are no more."""
    try:
        catalogue = (await shelf.current()).catalogue
    except NoCatalogue:
        return []
    gone = sorted({name for _, name in named_features(catalogue) if name not in known})
    if not gone:
        return []
    names = ", ".join(gone)
    return [
        f"features that the catalogue's policies or activations name are not declared any more: {names}; declare them, or import a catalogue without them"
    ]
