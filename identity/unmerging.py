"""Taking a merge back, whoever made it (identity.I24-I26). The rules are in ``undoing``.

Enters: a person, live or retired by the merge. Leaves: everybody as she was, what came since with whom the evidence says, and a judgement that keeps
the parts apart.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from identity import evidence_store, graph_store, judged, judgement_store, store, undoing, undoing_store
from identity.judgements import Act, Judgement, Rulings, Verdict
from identity.regrouping import Acted, By, Regrouping, no
from identity.settling import settle
from identity.undoing_store import Merged
from kernel.db import Conn
from kernel.ids import PersonId, RecordId


async def unmerge(conn: Conn, work: Regrouping, person: PersonId, by: By) -> Acted:
    """Take back the merge that retired this id, or, of a live person, her newest one; whoever made it, staff or a run.

    Everybody gets her earlier id, records and sureness back. Records that came since go where the evidence says. The parts are kept apart from
    now on. Refused: nothing_to_unmerge.
    """
    await store.own_graph(conn)
    found = await _merge_of(conn, person)
    if found is None:
        return no(Act.UNMERGE, "nothing_to_unmerge", person)
    live, back, merge = found
    scene = await work.scene(conn, [live])
    records = sorted(scene.whose)
    before = await undoing_store.held_before(conn, records, merge.version)
    ours = [r for r in records if before.get(r) in back]
    block_of = undoing.blocks(
        records,
        before,
        await undoing_store.first_held(conn, records),
        await undoing_store.held_since(conn, ours, merge.version),
    )
    # Who had some of these records then and lives elsewhere now has no claim to come back here.
    known_as = {live, *await graph_store.retired_into(conn, [live])}
    block_of = {record: person if person in known_as else live for record, person in block_of.items()}
    block: dict[PersonId, tuple[RecordId, ...]] = defaultdict(tuple)
    for record in records:
        if record in block_of:
            block[block_of[record]] += (record,)
    keeper = merge.into if merge.into in known_as else live
    parties = [keeper, *(one for one in back if block[one])]
    if len(parties) < 2 or not block[parties[0]]:
        return no(Act.UNMERGE, "nothing_to_unmerge", live)
    units = {one: tuple(sorted({scene.now.get(r, r) for r in block[one]})) for one in parties}
    made = [
        work.judgement(Act.UNMERGE, Verdict.NEGATIVE, units[one], tuple(sorted({r for p in parties[:place] for r in units[p]} - set(units[one]))), by)
        for place, one in enumerate(parties)
        if place
    ]  # fmt: skip
    made = [replace(one, act_id=made[0].id) for one in made]
    merging = await judgement_store.made_in(conn, merge.version)
    gone = [
        one.id
        for one in await judgement_store.standing(conn, records)
        if one.verdict is Verdict.POSITIVE and (one.id in merging or _taken_back(one, made))
    ]
    law = await judged.law(conn, scene.whose, but=gone, also=made)
    sides = [(block[one], tuple(r for p in parties[:n] for r in block[p])) for n, one in enumerate(parties) if n]
    rulings = Rulings((*block.values(), *law.rulings.together), (*sides, *law.rulings.apart))
    edges, _ = await evidence_store.evidence(conn, records)
    edges += undoing.versions(scene.now)
    edges += undoing.shared(
        await judgement_store.carried(conn, records), work.settings.joining_kinds, work.settings.contact_kinds
    )
    claims = await judged.exclusive(conn, records, work.settings.exclusive_kinds)
    labels = settle(dict.fromkeys(records, live), rulings, edges, claims)
    outcome = undoing.reassign(labels, block_of)
    family = sorted(known_as)
    leads = undoing.redirects(family, outcome, await undoing_store.last_held(conn, family))
    was = (
        {}
        if await undoing_store.published_since(conn, merge.version)
        else await judgement_store.how_sure(conn, merge.version)
    )
    then, now = await undoing_store.had(conn, list(was), merge.version), _held(outcome.person_of)
    kept = {p: sure for p, sure in was.items() if leads.get(p, p) is None and then.get(p) == now.get(p)}
    return await work.change(conn, made, scene.whose, outcome, by, gone, leads=leads, sure=kept, unbound=law)


async def _merge_of(conn: Conn, person: PersonId) -> tuple[PersonId, list[PersonId], Merged] | None:
    """The live person, who comes back, and the merge that is taken back."""
    row = (await graph_store.people_rows(conn, [person])).get(person)
    if row is None or row.erased_at is not None:
        return None
    live = row.redirect_to or person
    merges = await undoing_store.merges(conn, list(await graph_store.retired_into(conn, [live])))
    newest = next((one for one in merges if person in (one.person, live)), None)
    if newest is None:
        return None
    if person != live:
        return live, [person], newest
    same = [one.person for one in merges if (one.version, one.into) == (newest.version, newest.into)]
    return live, sorted(same), newest


def _held(whose: Mapping[RecordId, PersonId]) -> dict[PersonId, set[RecordId]]:
    found: dict[PersonId, set[RecordId]] = defaultdict(set)
    for record, person in whose.items():
        found[person].add(record)
    return found


def _taken_back(one: Judgement, made: Sequence[Judgement]) -> bool:
    return any(one.reversed_by(frozenset(new.left), frozenset(new.right)) for new in made)
