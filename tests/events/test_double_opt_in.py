"""Consents of a file where double opt-in is asked for: what the other system has to show for it is kept, and what has nothing counts for nothing."""

from dataclasses import replace

import pytest

from consent.service import Consent
from consent.settings import ConsentSettings
from events.handlers import handlers
from events.importer import Importer
from events.mapping import parse
from identity.identifiers import Identifier

pytestmark = pytest.mark.anyio
MAP = (
    "source: news\nwhat: consents\nsubject: {kind: email, column: email}\n"
    "consent: {purpose: marketing.email, status: {column: status}, mechanism: form, notice: v1, given_at: at,"
    " confirmed_at: pressed, confirmation: {column: proof}}\n"
)
ROWS = (
    "email,status,at,pressed,proof\n"
    "ada@example.org,granted,2026-01-01T00:00:00Z,2026-01-01T00:05:00Z,link 8812\n"
    "bob@example.org,granted,2026-01-01T00:00:00Z,,\n"
    "cyd@example.org,denied,2026-01-01T00:00:00Z,soon,\n"
    "dan@example.org,granted,2026-01-01T00:00:00Z,soon,link 9\n"
)


async def test_what_another_system_confirmed_counts_with_its_evidence(rooms, tmp_path):
    own = tmp_path / "purposes.yaml"
    own.write_text("version: a\ndouble_opt_in: {marketing.email: [email]}\npurposes: []\n")
    consent = Consent(rooms.kernel, rooms.audit, rooms.identity, ConsentSettings(purposes_file=own))
    rooms = replace(rooms, consent=consent)
    importer = Importer(rooms.kernel, rooms.audit, handlers(rooms.kernel, rooms.events, rooms.identity, consent))
    file = tmp_path / "consents.csv"
    file.write_text(ROWS)
    report = await importer.run(file, parse(MAP))
    assert (report.accepted, report.rejected) == (
        3,
        1,
    )  # a yes whose time cannot be read is none; a no holds all the same

    async with rooms.kernel.db.transaction() as conn:
        names = ["ada", "bob", "cyd"]
        ids = await rooms.identity.register_identifiers(conn, [Identifier("email", f"{n}@example.org") for n in names])
        history = {n: (await consent.history_of(conn, [id_]))[0] for n, id_ in zip(names, ids, strict=True)}
        sealed = await (await conn.execute("SELECT act, evidence FROM consent.confirmations")).fetchall()
    assert [(history[n].act.status, history[n].act.verified) for n in names] == [
        ("granted", True), ("granted", False), ("denied", True),
    ]  # fmt: skip
    told = history["ada"].confirmed
    assert (told.way, told.at.isoformat(), told.pending) == ("told", "2026-01-01T00:05:00+00:00", None)
    assert [row["act"] for row in sealed] == [history["ada"].act.id]
    assert b"8812" not in sealed[0]["evidence"]
