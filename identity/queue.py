"""The review queue: what staff are asked, the dearest question first, those in dispute before all others (identity.I44).

Enters: a connection. Leaves: questions with the people they are about and what reviewers said so far. A question that was answered with one voice, or that an act of staff
settles, is not asked; UNSURE halves its place.
"""

from collections import defaultdict
from dataclasses import dataclass

from identity import evidence_store, judged, judgement_store, question_store
from identity.judgements import Act, Judgement, Rulings, Verdict
from identity.questions import Question, ask
from kernel.canonical import Json
from kernel.db import Conn
from kernel.ids import PersonId, RecordId


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of the queue. ``people``: of ``a`` and of ``b``. ``answers``: what stands, the oldest first."""

    question: Question[RecordId]
    people: tuple[PersonId, PersonId]
    answers: tuple[Judgement, ...]
    disputed: bool

    @property
    def value(self) -> float:
        """What its place rests on."""
        unsure = sum(one.verdict is Verdict.UNSURE for one in self.answers)
        return self.question.value * 0.5**unsure

    def as_json(self) -> dict[str, Json]:
        """For the command line, HTTP and the console: ids, figures, no words."""
        one = self.question
        return {
            "a": one.a,
            "b": one.b,
            "people": list(self.people),
            "one_person": one.one,
            "weight": one.weight,
            "cause": one.cause,
            "records": [one.left, one.right],
            "chance": round(one.chance, 4),
            "value": round(self.value, 3),
            "disputed": self.disputed,
            "answers": [
                {"verdict": said.verdict.value, "actor": said.actor, "at": said.at.isoformat(), "judgement": said.id}
                for said in self.answers
            ],
        }


async def questions(conn: Conn, limit: int = 100) -> list[Asked]:
    """The head of the queue."""
    doubts = await question_store.doubts(conn)
    law = await judged.law(conn)
    standing = [one for one in await judgement_store.standing(conn) if one.act is Act.ANSWER]
    named = {r for doubt in doubts for r in (doubt.a, doubt.b)} | {r for one in law.disputes for r in one.pair}
    people = {*await question_store.unsure(conn), *await question_store.holders(conn, sorted(named))}
    groups = await question_store.current(conn, sorted(people))
    edges, _ = await evidence_store.evidence(conn, sorted(groups))
    known = [(e.a, e.b, e.weight) for e in (*edges, *judged.ties(law)) if e.a in groups and e.b in groups]
    doubts = [one for one in doubts if one.a in groups and one.b in groups]
    answers: dict[tuple[RecordId, RecordId], list[Judgement]] = defaultdict(list)
    for one in standing:
        answers[one.pair].append(one)
    disputed = {one.pair for one in law.disputes}
    strangers = _strangers(law.rulings, groups)
    found = []
    for question in ask(groups, known, doubts):
        owners = groups[question.a], groups[question.b]
        pair = min(question.a, question.b), max(question.a, question.b)
        if pair in disputed or (not question.one and frozenset(owners) in strangers):
            continue
        found.append(Asked(question, owners, tuple(answers.get(pair, ())), disputed=False))
    contested = [
        Asked(_contested(pair, groups), (groups[pair[0]], groups[pair[1]]), tuple(answers[pair]), disputed=True)
        for pair in sorted(disputed)
        if pair[0] in groups and pair[1] in groups
    ]
    return [*contested, *sorted(found, key=lambda one: (-one.value, one.question.a, one.question.b))][:limit]


def _strangers(rulings: Rulings[RecordId], groups: dict[RecordId, PersonId]) -> set[frozenset[PersonId]]:
    """Pairs of people whom a ruling keeps apart."""
    found: set[frozenset[PersonId]] = set()
    for left, right in rulings.apart:
        one, other = ({groups[r] for r in side if r in groups} for side in (left, right))
        found.update(frozenset((a, b)) for a in one for b in other)
    return found


def _contested(pair: tuple[RecordId, RecordId], groups: dict[RecordId, PersonId]) -> Question[RecordId]:
    a, b = pair
    left, right = (sum(person == groups[one] for person in groups.values()) for one in pair)
    return Question(a, b, groups[a] == groups[b], 0.0, "disputed", left, right, 0.5)
