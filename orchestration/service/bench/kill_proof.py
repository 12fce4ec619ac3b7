"""The proof after the last restart: what was acknowledged against what is there, and what people got.

Enters: what the client was told, what the provider took, an open house. Leaves: a `Proof`; `faults` name every thing that is lost, doubled or stuck, and are empty when
the promise holds. Nothing is asked of the doors that were under test: counts come from the tables, messages from those who got them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from email import message_from_bytes
from email.utils import parseaddr
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from audit import checkpoint as notes
from audit import merkle
from audit.errors import InvalidNote, InvalidProof
from channels.ledger import UNSENT, State
from events.arrivals import message_hash
from kernel.ids import EventId, PersonId
from orchestration.service.bench import kill_store as store
from orchestration.service.bench.kill_client import Client, Word
from orchestration.service.bench.kill_peer import Taken
from orchestration.service.bench.kill_world import SOURCES, Script
from orchestration.wiring import House
from profiles.hot import HotProfile

LEFT: Final = frozenset(
    {State.ACCEPTED, State.DEFERRED, State.BLOCKED, State.DELIVERED, State.BOUNCED, State.COMPLAINED}
)
"""States that say: the provider has it."""


@dataclass(slots=True)
class Kind:
    """One kind of thing. `refused`: answered with a reason and nothing to keep. `found`: acknowledged and there, once."""

    said: int = 0
    tries: int = 0
    acknowledged: int = 0
    refused: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    found: int = 0
    lost: int = 0
    doubled: int = 0


@dataclass(slots=True)
class Proof:
    """What holds and what does not. `uncertain`: messages of which nobody here knows whether they left; `uncertain_taken` of them did."""

    kinds: dict[str, Kind] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    messages: int = 0
    noes: int = 0
    twice: int = 0
    uncertain: int = 0
    uncertain_taken: int = 0
    capped: int = 0
    checkpoints: int = 0
    leaves: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """The promise holds."""
        return not self.faults

    def blame(self, what: str, number: int) -> None:
        """A fault, if there is any."""
        if number:
            self.faults.append(f"{what}: {number}")


async def prove(house: House, client: Client, taken: Iterable[Taken], outbox: Path, script: Script) -> Proof:
    """Read everything again and compare."""
    proof = Proof()
    await house.audit.sequence()
    async with house.kernel.db.reading() as conn:
        found = _Tables(
            messages=await store.messages(conn, SOURCES),
            acts=await store.acts(conn, script.officer),
            decisions=await store.decisions(conn),
            deliveries=await store.deliveries(conn),
            receipts=await store.receipts(conn),
            imported=await store.imported(conn),
        )
        caps = await store.caps(conn)
        live = await house.identity.current(conn, sorted({PersonId(one["person"]) for one in found.deliveries}))
        sent = await store.told(conn, "Email Sent")
        accepted = await store.logged(conn, "delivery.accepted", "delivery")
    _events(proof, client.said.get("event", {}), found, lambda key: message_hash(house.kernel.vault, EventId(key)))
    _consents(proof, client.said.get("consent", {}), found)
    _choices(proof, "decision", client.said.get("decision", {}), found)
    _choices(proof, "send", client.said.get("send", {}), found)
    _receipts(proof, client.said.get("receipt", {}), found)
    messages = [*taken, *_files(outbox, found.deliveries)]
    _messages(proof, messages, found)
    _noes(proof, messages, {email: client.said["consent"][key] for key, email in script.enough.items()})
    proof.blame("messages noted as sent twice", sum(n > 1 for n in sent.values()))
    proof.blame("messages logged as accepted twice", sum(n > 1 for n in accepted.values()))
    proof.blame("answers of status 500", sum(n for kind, n in client.broken.items() if kind.endswith(" 500")))
    _caps(proof, caps, found.deliveries, live)
    await _profiles(proof, house)
    await _log(proof, house, client.checkpoints)
    return proof


@dataclass(frozen=True, slots=True)
class _Tables:
    messages: Mapping[bytes, int]
    acts: frozenset[str]
    decisions: list[dict[str, Any]]
    deliveries: list[dict[str, Any]]
    receipts: Mapping[str, int]
    imported: Mapping[str, int]


def _kind(proof: Proof, name: str, said: Mapping[str, Word]) -> Kind:
    made = Kind(
        said=len(said),
        tries=sum(one.tries for one in said.values()),
        refused=sum(bool(one.refused) for one in said.values()),
    )
    made.reasons = dict(Counter(word.refused for word in said.values() if word.refused is not None))
    proof.kinds[name] = made
    proof.blame(f"{name}s answered with yes and with no", sum(bool(w.answers and w.refused) for w in said.values()))
    proof.blame(f"{name}s never answered", sum(not w.answers and not w.refused for w in said.values()))
    return made


def _settle(proof: Proof, name: str, kind: Kind, counts: Iterable[tuple[bool, int]]) -> None:
    """(acknowledged as kept, times found) for each thing."""
    for kept, times in counts:
        kind.acknowledged += kept
        kind.found += kept and times == 1
        kind.lost += kept and times == 0
        kind.doubled += times > 1
    proof.blame(f"acknowledged {name}s that are lost", kind.lost)
    proof.blame(f"{name}s that are there more than once", kind.doubled)


def _events(proof: Proof, said: Mapping[str, Word], found: _Tables, hashed: Any) -> None:
    kind = _kind(proof, "event", said)
    by_key = {hashed(key): word for key, word in said.items()}
    stored = {"accepted", "duplicate"}
    _settle(
        proof, "event", kind,
        [(any(a["status"] in stored for a in word.answers), found.messages.get(key, 0)) for key, word in by_key.items()],
    )  # fmt: skip
    filtered = sum(all(a["status"] not in stored for a in word.answers) for word in said.values() if word.answers)
    kind.refused += filtered
    kind.reasons |= {"filtered": filtered} if filtered else {}
    _imported(proof, [found.messages[name] for name in found.messages.keys() - by_key.keys()], found.imported)


def _imported(proof: Proof, times: list[int], told: Mapping[str, int]) -> None:
    """Events of files are those that nobody said: as many as the imports say they took, each once."""
    extra = len(times) - told["accepted"]
    proof.blame("events that nobody said", max(0, extra))
    proof.blame("imports that are not finished", told["unfinished"])
    if told["rows"]:
        kind = Kind(
            said=told["rows"],
            refused=told["refused"] + told["duplicates"],
            acknowledged=told["accepted"],
            lost=max(0, -extra),
        )
        kind.doubled = sum(n > 1 for n in times)
        kind.found = kind.acknowledged - kind.lost
        proof.kinds["imported event"] = kind
        proof.blame("imported events that are lost", kind.lost)
        proof.blame("imported events that are there more than once", kind.doubled)


def _consents(proof: Proof, said: Mapping[str, Word], found: _Tables) -> None:
    kind = _kind(proof, "consent", said)
    told = {key: [frozenset(map(str, one["ids"])) for one in word.answers] for key, word in said.items()}
    _settle(
        proof, "consent", kind,
        [(bool(answers), 0 if not answers or not answers[0] <= found.acts else len(set(answers))) for answers in told.values()],
    )  # fmt: skip
    known = {act for answers in told.values() for ids in answers for act in ids}
    proof.blame("consent acts beyond those acknowledged", len(found.acts - known))


def _choices(proof: Proof, name: str, said: Mapping[str, Word], found: _Tables) -> None:
    kind = _kind(proof, name, said)
    rows = [row for row in found.decisions if row["trigger"] in said]
    times = Counter(row["trigger"] for row in rows)
    there = {str(row["id"]): row for row in rows}
    told = {key: {str(one["decision_id"]) for one in word.answers} for key, word in said.items()}
    _settle(
        proof, name, kind,
        [(bool(ids), times[key] if all(one in there for one in ids) else 0) for key, ids in told.items()],
    )  # fmt: skip
    proof.blame(f"{name}s with two answers", sum(len(ids) > 1 for ids in told.values()))
    proof.blame(f"{name}s without their place in the log", sum(not row["logged"] for row in rows))
    proof.blame(f"refused {name}s that are there", sum(times[key] for key, word in said.items() if word.refused))
    queued = {str(one["delivery_id"]) for one in found.deliveries}
    asked = [one for word in said.values() for one in word.answers if "delivery_id" in one]
    proof.blame("queued messages that are lost", sum(str(one["delivery_id"]) not in queued for one in asked))


def _receipts(proof: Proof, said: Mapping[str, Word], found: _Tables) -> None:
    kind = _kind(proof, "receipt", said)
    _settle(proof, "receipt", kind, [(bool(word.answers), found.receipts.get(key, 0)) for key, word in said.items()])


def _messages(proof: Proof, messages: list[Taken], found: _Tables) -> None:
    """What people got, by delivery, by decision, and by what was asked for."""
    asked = {str(row["id"]): str(row["trigger"]) for row in found.decisions}
    by_delivery = Counter(one.delivery_id for one in messages)
    for count in (
        by_delivery,
        Counter(one.decision_id for one in messages),
        Counter((one.to, asked.get(one.decision_id, one.decision_id)) for one in messages),
    ):
        proof.twice = max(proof.twice, sum(n - 1 for n in count.values()))
    proof.blame("messages that somebody got twice", proof.twice)
    proof.messages = len(messages)
    states = {str(one["delivery_id"]): State(one["state"]) for one in found.deliveries}
    proof.states = dict(Counter(map(str, states.values())))
    proof.blame("messages that left without a delivery", sum(one not in states for one in by_delivery))
    proof.blame(
        "messages that left though the ledger says they did not",
        sum(by_delivery[one] for one, s in states.items() if s in UNSENT),
    )
    proof.blame(
        "messages that the ledger calls accepted and nobody got",
        sum(not by_delivery[one] for one, s in states.items() if s in LEFT),
    )
    proof.uncertain = sum(s is State.UNCERTAIN for s in states.values())
    proof.uncertain_taken = sum(by_delivery[one] > 0 for one, s in states.items() if s is State.UNCERTAIN)
    proof.blame("deliveries that are stuck", sum(s in {State.RESERVED, State.INTENT} for s in states.values()))
    proof.blame(
        "deliveries whose history ends elsewhere", sum(one["state"] != one["last_step"] for one in found.deliveries)
    )


def _noes(proof: Proof, messages: list[Taken], said: Mapping[str, Word]) -> None:
    """A no holds from its acknowledgement on, whatever was queued before."""
    noes = {email.casefold(): word.at for email, word in said.items() if word.answers}
    late = sum(one.at > noes[name] for one in messages if (name := one.to.casefold()) in noes)
    proof.noes = len(noes)
    proof.blame("messages that left after a no was acknowledged", late)


async def _profiles(proof: Proof, house: House) -> None:
    """What the hot store says of people is what Postgres says, though a crash came between a commit and what follows it."""
    async with house.kernel.db.reading() as conn:
        people = await house.identity.people(conn)
    stale = 0
    for purpose in house.settings.profiles.hot_purposes:
        held = await house.profiles.hot_many(people, purpose)
        true = await house.profiles.hot_many(people, purpose, fresh=True)
        stale += sum(_said(held[one]) != _said(true[one]) for one in people if one in held and one in true)
    proof.blame("profiles in the hot store that are not of now", stale)


def _said(hot: HotProfile) -> tuple[int, int, int]:
    return hot.profile_version, hot.consent_version, int(hot.graph_version)


def _caps(
    proof: Proof, caps: list[dict[str, Any]], deliveries: list[dict[str, Any]], live: Mapping[PersonId, PersonId]
) -> None:
    """Nobody over a cap; a place is held by a message that left or may have left, and by nothing else.

    Places go along when an id is merged into another, and two people may each have used up theirs before: the limit holds for each id that messages
    were reserved under, while who holds a place is asked of the living person.
    """
    holding: dict[tuple[str, str], set[str]] = defaultdict(set)
    reserved = Counter[tuple[str, str, str]]()
    for one in deliveries:
        for key in one["cap_keys"] if State(one["state"]) not in UNSENT else ():
            person = live.get(one["person"], one["person"])
            holding[person, key].add(str(one["delivery_id"]))
            reserved[person, key, one["person"]] += 1
    limits = {(one["person"], one["cap_key"]): int(one["cap_limit"]) for one in caps}
    held = {(one["person"], one["cap_key"]): set(one["holders"]) for one in caps}
    proof.capped = sum(len(holding[name]) >= limit for name, limit in limits.items())
    over = sum(n > limits.get((person, key), 0) for (person, key, _), n in reserved.items())
    proof.blame("caps exceeded", over)
    proof.blame(
        "messages without their place under a cap",
        sum(len(ids - held.get(name, set())) for name, ids in holding.items()),
    )
    proof.blame("places under caps that nobody holds", sum(len(ids - holding[name]) for name, ids in held.items()))


def _files(outbox: Path, deliveries: list[dict[str, Any]]) -> list[Taken]:
    """Messages in the outbox, one a file."""
    decisions = {str(one["delivery_id"]): str(one["decision_id"]) for one in deliveries}
    return [
        Taken(file.stem, decisions.get(file.stem, ""), _to(file), file.stat().st_mtime)
        for file in outbox.rglob("*.eml")
    ]


def _to(file: Path) -> str:
    return parseaddr(str(message_from_bytes(file.read_bytes())["To"]))[1]


async def _log(proof: Proof, house: House, shown: list[str]) -> None:
    """The log verifies, and extends every checkpoint that anybody was shown."""
    report = await house.audit.verify_log()
    proof.leaves = report.size
    proof.blame("findings of candor audit verify", len(report.findings))
    proof.blame("log entries without a place", report.waiting)
    last = (await house.audit.checkpoint()).checkpoint
    keys = await house.audit.verifier_keys()
    broken = 0
    sizes = []
    for text in shown:
        try:
            notes.verify(text, keys)
            seen = notes.parse(text)
            sizes.append(seen.size)
            _, path = await house.audit.consistency(seen.size, last.size)
            merkle.verify_consistency(seen.size, last.size, path, seen.root, last.root)
        except (InvalidNote, InvalidProof):
            broken += 1
    proof.checkpoints = len(shown)
    proof.blame("checkpoints that the log does not extend", broken)
    proof.blame("checkpoints that went back", sum(b < a for a, b in pairwise(sizes)))
