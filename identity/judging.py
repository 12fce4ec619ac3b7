"""What staff do to the graph: merge, unmerge, split, pin, answer a question, take a judgement back.

Enters: people and records by id, who acts and why. Leaves: the graph changed at once, a judgement that every later run obeys, one line of the change
feed for each move, entries of the log; all in the caller's transaction. Ids follow ``graph.assign`` (docs/identity/people.md). An act that cannot be
done says so as a value; nothing is half done.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace

from audit.entries import NewEntry
from audit.service import Audit
from audit.tags import Tag
from identity import evidence_store, feed_store, graph_store, judged, judgement_store, queue, store, undoing, unmerging
from identity.errors import RecordNotFound, UnknownJudgement
from identity.feed_store import Line
from identity.hot_index import HotIndex
from identity.impact import Impact
from identity.judgements import Act, Judgement, Rulings, Verdict
from identity.queue import Asked
from identity.regrouping import Acted, By, Regrouping, Scene, Tell, no
from identity.settings import IdentitySettings
from identity.settling import settle, two_fold
from kernel.canonical import Json
from kernel.clock import Clock
from kernel.db import Conn
from kernel.ids import PersonId, RecordId, new_id


class Judging:
    """Stands at ``Identity.judging``. Callers give live people (``Identity.lookup``)."""

    def __init__(self, clock: Clock, audit: Audit, settings: IdentitySettings, hot: HotIndex, tell: Tell) -> None:
        self._work = Regrouping(clock, audit, settings, hot, tell)
        self.impact = Impact()

    # acts

    async def merge(self, conn: Conn, a: PersonId, b: PersonId, by: By) -> Acted:
        """Two people are one. Takes back what kept them apart. Refused: same_person, unique_identifier."""
        await store.own_graph(conn)
        scene = await self._work.scene(conn, [a, b])
        if a == b:
            return no(Act.MERGE, "same_person", a)
        if two_fold((await judged.exclusive(conn, list(scene.whose), self._work.settings.exclusive_kinds)).values()):
            return no(Act.MERGE, "unique_identifier", a, b)
        made = self._work.judgement(Act.MERGE, Verdict.POSITIVE, scene.of(a), scene.of(b), by)
        sides = [frozenset(r for r, p in scene.whose.items() if p == one) for one in (a, b)]
        against = [
            one.id
            for one in await judgement_store.standing(conn, list(scene.whose))
            if one.verdict is Verdict.NEGATIVE and _between(one, *sides)
        ]
        return await self._work.regroup(conn, [made], scene.whose, dict.fromkeys(scene.whose, 0), by, against)

    async def split(self, conn: Conn, person: PersonId, records: Sequence[RecordId], by: By) -> Acted:
        """These records are another person than the rest. Refused: whole_person.

        Raises:
            RecordNotFound: one of them is not the person's.
        """
        await store.own_graph(conn)
        scene = await self._work.scene(conn, [person])
        apart = _hers(scene, records)
        rest = set(scene.whose) - apart
        if not rest:
            return no(Act.SPLIT, "whole_person", person)
        ours = tuple(r for r in scene.of(person) if r in apart)
        made = [
            self._work.judgement(
                Act.SPLIT, Verdict.NEGATIVE, ours, tuple(r for r in scene.of(person) if r not in apart), by
            )
        ]
        if len(ours) > 1:
            together = self._work.judgement(Act.SPLIT, Verdict.POSITIVE, ours[:1], ours[1:], by)
            made.append(replace(together, act_id=made[0].id))
        return await self._work.regroup(conn, made, scene.whose, {r: int(r in apart) for r in scene.whose}, by)

    async def pin(self, conn: Conn, record: RecordId, person: PersonId, by: By) -> Acted:
        """This record is this person's, whatever a run finds. Refused: unique_identifier.

        Raises:
            RecordNotFound: the record has no live person.
        """
        await store.own_graph(conn)
        owner = (await graph_store.subjects_of(conn, [record])).get(record)
        if owner is None or not owner[1]:
            raise RecordNotFound("expected a record with a live person, got one that is unknown or erased")
        (holder,) = owner[1]
        scene = await self._work.scene(conn, sorted({person, holder}))
        row = scene.rows([record])
        hers = {r for r, p in scene.whose.items() if p == person} | row
        if two_fold((await judged.exclusive(conn, hers, self._work.settings.exclusive_kinds)).values()):
            return no(Act.PIN, "unique_identifier", person, holder)
        unit = (scene.now.get(record, record),)
        others = tuple(r for r in scene.of(person) if r not in row)
        rest = tuple(r for r in scene.of(holder) if r not in row)
        made = [self._work.judgement(Act.PIN, Verdict.POSITIVE, unit, others, by)] if others else []
        if holder != person and rest:
            made.append(self._work.judgement(Act.PIN, Verdict.NEGATIVE, unit, rest, by))
        if not made:
            return no(Act.PIN, "whole_person", person)
        made = [replace(one, act_id=made[0].id) for one in made]
        against = [
            one.id
            for one in await judgement_store.standing(conn, sorted(row))
            if one.verdict is Verdict.NEGATIVE and _between(one, frozenset(row), frozenset(hers - row))
        ]
        labels = {r: int(r not in hers) for r in scene.whose}
        return await self._work.regroup(conn, made, scene.whose, labels, by, against)

    async def unmerge(self, conn: Conn, person: PersonId, by: By) -> Acted:
        """Take back the merge that retired this id, or, of a live person, her newest one; whoever made it, staff or a run.

        Everybody gets her earlier id, records and sureness back. Records that came since go where the evidence says. The parts are kept apart from
        now on. Refused: nothing_to_unmerge.
        """
        return await unmerging.unmerge(conn, self._work, person, by)

    async def answer(self, conn: Conn, a: RecordId, b: RecordId, verdict: Verdict, by: By) -> Acted:
        """What a reviewer says of two records. A reviewer's later answer takes her earlier one back; where two disagree nobody moves.

        POSITIVE makes one person of two, NEGATIVE two of one, as far as no act of staff says otherwise. Refused: unique_identifier, kept_apart.

        Raises:
            RecordNotFound: a record has no live person, or both are one row.
        """
        await store.own_graph(conn)
        owners = await graph_store.subjects_of(conn, [a, b])
        if any(one not in owners or not owners[one][1] for one in (a, b)):
            raise RecordNotFound("expected two records with a live person, got one that is unknown or erased")
        people = sorted({owners[a][1][0], owners[b][1][0]})
        scene = await self._work.scene(conn, people)
        left, right = scene.now.get(a, a), scene.now.get(b, b)
        if left == right:
            raise RecordNotFound("expected two records, got two versions of one row")
        made = self._work.judgement(Act.ANSWER, verdict, (left,), (right,), by)
        pair = made.pair
        standing = [
            one for one in await judgement_store.standing(conn, list(scene.whose)) if one.act is Act.ANSWER and one.pair == pair
        ]  # fmt: skip
        mine = [one.id for one in standing if one.actor == by.actor]
        law = await judged.law(conn, None, but=mine, also=[made])
        disputed = any(one.pair == pair for one in law.disputes)
        labels: Mapping[RecordId, Hashable] = scene.whose
        if verdict is Verdict.POSITIVE and len(people) > 1 and not disputed:
            if two_fold(
                (await judged.exclusive(conn, list(scene.whose), self._work.settings.exclusive_kinds)).values()
            ):
                return no(Act.ANSWER, "unique_identifier", *people)
            sides = [frozenset(r for r, p in scene.whose.items() if p == one) for one in people]
            if any(_between_sides(one, *sides) for one in law.rulings.apart):
                return no(Act.ANSWER, "kept_apart", *people)
            labels = dict.fromkeys(scene.whose, 0)
        elif verdict is Verdict.NEGATIVE and len(people) == 1 and not disputed:
            edges, _ = await evidence_store.evidence(conn, list(scene.whose))
            edges += undoing.versions(scene.now)
            claims = await judged.exclusive(conn, list(scene.whose), self._work.settings.exclusive_kinds)
            labels = settle(dict.fromkeys(scene.whose, 0), law.rulings, edges, claims)
        return await self._work.regroup(conn, [made], scene.whose, labels, by, mine)

    async def revoke(self, conn: Conn, judgement: str, by: By) -> Acted:
        """Take a judgement (or all of one act) back: from the next run on the evidence decides alone. Nobody moves now.

        Raises:
            UnknownJudgement: none of this id stands.
        """
        await store.own_graph(conn)
        known = [one.id for one in await judgement_store.of_act(conn, judgement) if one.revoked_by is None]
        if not known:
            raise UnknownJudgement("expected a judgement that stands, got an id of none")
        act_id = new_id("jdg")
        await judgement_store.revoke(conn, known, act_id, by.actor, by.reason, self._work.clock.now())
        facts: dict[str, Json] = {"act": Act.REVOKE.value, "reason": by.reason.value, "revoked": len(known)}
        entry = NewEntry(Tag.PERSON_PINNED, {"judgement": [act_id, *known]}, facts, actor=by.actor)
        await self._work.audit.append(conn, [entry])
        return Acted(Act.REVOKE, act_id, None, (), ())

    # reading

    async def rulings(self, conn: Conn, rows: Sequence[RecordId]) -> Rulings[int]:
        """What a linkage run must obey, by the rows of its table."""
        place = {record: row for row, record in enumerate(rows)}
        return (await judged.law(conn, place.keys())).rulings.through(place.get)

    async def questions(self, conn: Conn, limit: int = 100) -> list[Asked]:
        """What staff should look at, the dearest question first."""
        return await queue.questions(conn, limit)

    async def feed(self, conn: Conn, after: int = 0, limit: int = 1000) -> list[Line]:
        """Moves of records between people after an offset, in order, each with its cause."""
        return await feed_store.lines(conn, after, limit)

    async def about(self, conn: Conn, person: PersonId) -> list[Judgement]:
        """Every judgement that names a record of hers, the newest first; those that were taken back too."""
        held = (await graph_store.members(conn, [person])).get(person, [])
        return await judgement_store.about(conn, [record for record, _ in held])


def _hers(scene: Scene, records: Sequence[RecordId]) -> set[RecordId]:
    if not records or any(record not in scene.whose for record in records):
        raise RecordNotFound("expected records of this person, got one that is not hers")
    return scene.rows(records)


def _between(one: Judgement, left: frozenset[RecordId], right: frozenset[RecordId]) -> bool:
    return _between_sides((one.left, one.right), left, right)


def _between_sides(
    sides: tuple[Sequence[RecordId], Sequence[RecordId]], left: frozenset[RecordId], right: frozenset[RecordId]
) -> bool:
    """Whether one side has records of the left and the other of the right."""
    one, other = sides
    straight = not left.isdisjoint(one) and not right.isdisjoint(other)
    return straight or (not left.isdisjoint(other) and not right.isdisjoint(one))
