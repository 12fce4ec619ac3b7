"""People: what other rooms get to know of them, and the rule by which a new record finds its person at once.

What enters: which people hold the record's identifiers, and which exclusive identifiers those people already have. What
leaves: the person to join, or none. The rule is provisional: the next published graph may judge otherwise on all the
evidence. It never puts two values of an exclusive identifier into one person (identity.I11).
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from identity.settings import IdentitySettings
from kernel.ids import GraphVersion, IdentifierId, KeyId, PersonId, RecordId


@dataclass(frozen=True, slots=True)
class Resolution:
    """Who a subject is. ``person`` is None when nobody or several people fit; ``candidates`` lists all who fit."""

    person: PersonId | None
    record: RecordId | None
    candidates: tuple[PersonId, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a consent act is about: the key of the identifier or record, and the live people who hold it."""

    key_id: KeyId
    people: tuple[PersonId, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """How sure a person is and the graph version in which her records last changed (see ``Membership``)."""

    sure: float
    graph_version: GraphVersion


@dataclass(frozen=True, slots=True)
class Contact:
    """An identifier without its value."""

    id: IdentifierId
    kind: str


@dataclass(frozen=True, slots=True)
class Membership:
    """What makes up a person. ``loose``: other people who may be the same (a refused edge, a shared identifier).

    ``key_ids``: the keys that hold this person's words alone; an identifier that others carry too is not among them.
    ``sure`` is the match probability of the weakest link that holds the records together; 1 for a single record.
    """

    records: tuple[RecordId, ...]
    identifiers: tuple[IdentifierId, ...]
    key_ids: tuple[KeyId, ...]
    loose: tuple[PersonId, ...]
    sure: float
    graph_version: GraphVersion


@dataclass(frozen=True, slots=True)
class Edge:
    """Two records and the match weight (log2 of the Bayes factor, prior included) that speaks for one person."""

    a: RecordId
    b: RecordId
    weight: float


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the change feed: records that went from one person to another, and why.

    ``kind``: created · joined · merged (person retired into other) · split (part left to a new person) · moved (part left
    to an existing person) · erased · expired (records past their time went, the person stays).
    """

    kind: str
    person: PersonId
    other: PersonId | None
    records: tuple[RecordId, ...]


@dataclass(frozen=True, slots=True)
class OldRow:
    """A row of a source: its person, the id of its newest version, the ids of all its versions."""

    person: PersonId
    newest: RecordId
    records: tuple[RecordId, ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """An identifier on a record: its id, kind, the source that wrote it and the row of that source."""

    id: IdentifierId
    kind: str
    source: str
    row: bytes
    at: float = 0.0  # when the record was observed, in seconds


@dataclass(slots=True)
class Holders:
    """Who holds which identifier, as known to one batch: read once from the store, kept up while the batch joins.

    ``refused``: whom the last record that asked may not join because of a limit, with the identifier that led to her.
    """

    owners: dict[IdentifierId, set[PersonId]] = field(default_factory=dict)
    exclusive: dict[PersonId, set[tuple[str, str, IdentifierId, bytes]]] = field(default_factory=dict)
    limited: dict[PersonId, set[tuple[str, float, IdentifierId, bytes]]] = field(default_factory=dict)
    refused: list[tuple[PersonId, Carried]] = field(default_factory=list)

    def learn(self, person: PersonId, carried: Iterable[Carried], settings: IdentitySettings) -> None:
        """Note that the person holds these identifiers."""
        for item in carried:
            self.owners.setdefault(item.id, set()).add(person)
            if (scope := _scope(item, settings)) is not None:
                self.exclusive.setdefault(person, set()).add((item.kind, scope, item.id, item.row))
            if item.kind in settings.limits:
                self.limited.setdefault(person, set()).add((item.kind, item.at, item.id, item.row))

    def choose(
        self,
        carried: Sequence[Carried],
        previous: PersonId | None,
        settings: IdentitySettings,
        barred: Container[PersonId] = (),
    ) -> tuple[PersonId | None, bool]:
        """The person a record joins, or None for a new one; and whether a contact alone speaks for it.

        Order: the person of the row's earlier version; whoever owns a joining identifier (the strongest kind first, the
        oldest person first); the only holder of a contact. A candidate with another value of an exclusive kind is out, and so
        is one of whom staff said that the row is not hers (``barred``), and one who would exceed a limit (``limits``).
        """
        self.refused = []
        if previous is not None and not self.conflict(previous, carried, settings):
            return previous, False
        for kind in settings.joining_kinds:
            found = {p: item for item in carried if item.kind == kind for p in self.owners.get(item.id, ())}
            for person, item in sorted(found.items()):
                if person not in barred and not self.conflict(person, carried, settings):
                    if self.within(person, carried, settings, kind):
                        return person, False
                    self.refused.append((person, item))
        for kind in settings.contact_kinds:
            for item in carried:
                holders = self.owners.get(item.id, set()) if item.kind == kind else set()
                only = next(iter(holders)) if len(holders) == 1 else None
                if only is not None and only not in barred and not self.conflict(only, carried, settings):
                    if self.within(only, carried, settings, kind):
                        return only, True
                    self.refused.append((only, item))
        return None, False

    def within(self, person: PersonId, carried: Sequence[Carried], settings: IdentitySettings, by: str | None) -> bool:
        """Whether the record may join by an identifier of this kind (None: by likeness) as far as limits go."""
        rows = {item.row for item in carried}  # the row's own earlier version does not count beside its new one
        mine = [(kind, (at, i)) for kind, at, i, row in self.limited.get(person, ()) if row not in rows]
        if not mine:
            return True
        theirs = [(item.kind, (item.at, item.id)) for item in carried]
        return settings.limited.refuse(_by_kind(mine), _by_kind(theirs), by) is None

    def crowded(self, person: PersonId, settings: IdentitySettings) -> bool:
        """Whether the person may have links beyond a limit."""
        held = _by_kind((kind, (at, i)) for kind, at, i, _ in self.limited.get(person, ()))
        return any(len({i for _, i in values}) > settings.limits[kind].most for kind, values in held.items())

    def conflict(self, person: PersonId, carried: Iterable[Carried], settings: IdentitySettings) -> bool:
        """Whether the person, as far as she is known here, holds another value of an exclusive kind."""
        held = self.exclusive.get(person, ())
        for item in carried:
            scope = _scope(item, settings)
            if scope is None:
                continue
            # The row's own earlier version does not speak against its new one.
            others = {i for k, s, i, row in held if k == item.kind and s == scope and row != item.row}
            if others and item.id not in others:
                return True
        return False


def _by_kind(held: Iterable[tuple[str, tuple[float, str]]]) -> dict[str, list[tuple[float, str]]]:
    found: dict[str, list[tuple[float, str]]] = {}
    for kind, value in held:
        found.setdefault(kind, []).append(value)
    return found


def _scope(item: Carried, settings: IdentitySettings) -> str | None:
    """Where the identifier is exclusive: everywhere (""), inside its source, or nowhere (None)."""
    if item.kind in settings.exclusive_kinds:
        return ""
    return item.source if item.kind == "customer_id" else None


def decide(hits: Mapping[str, Mapping[PersonId, RecordId]], settings: IdentitySettings) -> Resolution:
    """Who a subject is, from the people that hold its identifiers by kind: the first kind that names one person wins.

    An identifier that one person owns alone names the oldest holder; a contact held by several names nobody.
    """
    every = sorted({person for people in hits.values() for person in people})
    for kind in settings.resolve_priority:
        people = hits.get(kind, {})
        if len(people) == 1 or (people and kind in settings.joining_kinds):
            person = min(people)
            rest = [p for p in every if p != person]
            return Resolution(person=person, record=people[person], candidates=(person, *rest))
    return Resolution(person=None, record=None, candidates=tuple(every))
