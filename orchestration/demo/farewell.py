"""The second half of the flow: she withdraws, a queued message stays, she is erased, and the proof still stands.

Enters: the house, the person, her first decision and its message. Leaves: further steps on the same `Flow`.
"""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx

from audit.entries import REDACTED
from audit.tags import Tag
from consent.errors import FourEyes
from consent.gate import permission
from consent.reasons import Reason
from consent.reasons import text as reason_text
from identity.errors import PersonNotFound
from kernel import keys_store
from kernel.clock import FrozenClock
from kernel.errors import NotFound
from kernel.ids import KeyId
from orchestration.decision.request import Decision, DecisionRequest
from orchestration.demo import traces
from orchestration.demo.chosen import Chosen
from orchestration.demo.letters import Letter
from orchestration.demo.telling import Flow, clip, counted, offline, short
from orchestration.wiring import House

ONE_CLICK: Final = {"List-Unsubscribe": "One-Click"}
WAIT: Final = timedelta(hours=20)


class Farewell:
    """From her no to the receipt that outlives her data."""

    def __init__(
        self, house: House, client: httpx.AsyncClient, clock: FrozenClock, folders: list[Path], flow: Flow
    ) -> None:
        self.house = house
        self.client = client
        self.clock = clock
        self.folders = folders
        self.flow = flow

    async def all(self, her: Chosen, first: Decision, letter: Letter) -> None:
        """Every station, in order."""
        second = await self.queue(her)
        await self.withdraw(her, letter)
        await self.not_sent(second)
        before = await self.look()
        await self.erase(her, first, before)
        await self.outlive(her, first)

    async def queue(self, her: Chosen) -> Decision:
        """A second message, for tomorrow."""
        due = self.clock.now() + WAIT
        made = await self.house.decisions.decide(
            DecisionRequest(
                placement="cart_follow_up", person=her.person, trigger="Product Added", send=True, seed="cart-0001",
                deliver_after=due, actor="system:trigger",
            )
        )  # fmt: skip
        assert made.delivery_id is not None, made.withheld
        early = await self.house.channels.dispatch()
        held = await self.house.channels.show(made.delivery_id)
        self.flow.ids |= {"second": made.decision_id, "queued": str(made.delivery_id)}
        self.flow.add(
            "A second message is queued",
            "The follow-up is decided now and due tomorrow. Until then it waits in the ledger.",
            [f"decision  {made.decision_id}", f"delivery  {made.delivery_id}  {held.state}, due {held.deliver_after:%Y-%m-%d %H:%M} UTC"],
            it_waits=held.state == "reserved" and early.total == 0,
        )  # fmt: skip
        return made

    async def withdraw(self, her: Chosen, letter: Letter) -> None:
        """Her mail program posts the one-click address of the first message."""
        self.clock.advance(timedelta(hours=3))
        looked = await self.client.get(letter.unsubscribe)
        after_looking = await self._may_email(her)
        done = await self.client.post(letter.unsubscribe, data=ONE_CLICK)
        after_posting = await self._may_email(her)
        ask = DecisionRequest(placement="cart_follow_up", person=her.person, dry_run=True, actor="staff:ann")
        asked = await self.house.decisions.decide(ask)
        lost = [one.rejection for one in asked.outcome.judged if one.rejection is not None]
        self.flow.add(
            "She withdraws",
            "Her mail program posts to the one-click address (RFC 8058). Opening it changes nothing, because scanners open links.",
            [
                f"GET  {short(letter.unsubscribe)}  ->  {looked.status_code}, offers by email: {after_looking}",
                f"POST {short(letter.unsubscribe)}  ->  {done.status_code}, offers by email: {after_posting}",
                *(f"a decision now would send nothing: lost at {one.stage}, {one.reason}" for one in lost),
            ],
            opening_the_link_changes_nothing=(looked.status_code, after_looking) == (200, "granted"),
            one_post_ends_it=(done.status_code, after_posting) == (200, "denied"),
            the_next_decision_knows=asked.nothing and [str(one.stage) for one in lost] == ["consent"],
        )

    async def not_sent(self, second: Decision) -> None:
        """Tomorrow comes; the gate says no; the log says why."""
        self.clock.advance(WAIT)
        report = await self.house.channels.dispatch()
        delivery = await self.house.channels.show(second.delivery_id or "")  # type: ignore[arg-type]
        entries = await self.house.audit.entries(tag=Tag.DELIVERY_WITHHELD, limit=10)
        opened = [(one, await self.house.audit.open_entry(one.entry_id)) for one in entries]
        mine = [(one, facts) for one, facts in opened if facts.get("ref.delivery") == second.delivery_id]
        outbox = sorted((self.house.kernel.settings.data_dir / "outbox").rglob("*.eml"))
        said = [reason_text(str(facts["reason"])) for _, facts in mine]
        self.flow.add(
            "The queued message is not sent, and the log says why",
            "Tomorrow comes and the message is due. The dispatcher asks the gate again, the answer is no, and the refusal is an entry of the log.",
            [
                f"dispatched  {counted(report.states)}; {counted(report.reasons)}",
                *(line for one, facts in mine for line in (f"entry  {one.entry_id}  {one.tag}", *(clip(f"  {name} = {value}") for name, value in sorted(facts.items())))),
                *(f"in words: {sentence}" for sentence in said),
            ],
            it_was_withheld=delivery.state == "withheld" and dict(report.states) == {"withheld": 1},
            one_entry_of_the_log_says_why=[facts["reason"] for _, facts in mine] == [Reason.CHANNEL_WITHDRAWN],
            the_outbox_still_holds_one_message=len(outbox) == 1,
        )  # fmt: skip

    async def look(self) -> traces.Found:
        """Search everything for her words, before."""
        words, ids = self.flow.words, [self.flow.ids["person"]]
        async with self.house.kernel.db.transaction() as conn:  # the features of service messages, which may see her
            await self.house.profiles.write_features(conn, "service", self.clock.now())
        found = await asyncio.to_thread(traces.search, self.folders, words)
        hot = await traces.search_cache(self.house.kernel.cache, words)
        control = await asyncio.to_thread(traces.search, self.folders, ids)
        self.flow.add(
            "Where her words are",
            f"Her contacts, street, full names, the product she chose and what she said on the form ({len(words)} words that nobody else in this world has) are "
            "looked for in every byte of every file: Postgres with its write-ahead log, the hot store's log, Parquet, outbox, published log, receipts. Only the message that was "
            "sent holds one, since it had to. To show that the search can find, it also looks for her id, which is no secret.",
            [f"her words    {found.told()}", f"in memory    {hot.files} keys of the hot store; found in: {hot.told().split(': ')[-1]}", f"her id       {control.told()}"],
            only_the_outbox_holds_her_words=found.hits == {"outbox": 1} and hot.total == 0,
            the_search_does_find_her_id={"postgres", "features", "receipts"} <= control.hits.keys(),
        )  # fmt: skip
        return found

    async def erase(self, her: Chosen, first: Decision, before: traces.Found) -> None:
        """Opened by one member of staff, approved by another, run."""
        rights = self.house.rights
        keys = await self._wrapped()
        request = await rights.open("erasure", her.person, actor="staff:ann")
        try:
            await rights.approve(request.id, actor="staff:ann")
            alone = True
        except FourEyes:
            alone = False
        await rights.approve(request.id, actor="staff:ben")
        done = await rights.run(request.id, actor="staff:ben")
        left = await self._wrapped()
        gone = [wrapped for key, wrapped in keys.items() if key not in left]
        removed = await self.house.kernel.removal.run()
        bytes_left = await asyncio.to_thread(traces.search, self.folders, [], gone)
        found = await asyncio.to_thread(traces.search, self.folders, self.flow.words)
        hot = await traces.search_cache(self.house.kernel.cache, self.flow.words)
        entry = await self.house.audit.open_entry(str(first.entry_id))
        self.flow.ids["request"] = request.id
        self.flow.add(
            "She is erased",
            "Rows go, the message in the outbox goes, and the keys under which her words were sealed are destroyed, so that old copies and backups are noise; their own bytes leave the disk too. "
            "The same search finds nothing, and the log's entry about her decision opens to nothing.",
            [
                f"request  {request.id}  {done.request.state}, opened by staff:ann, approved by staff:ben",
                "counts   " + ", ".join(f"{name} {count}" for name, count in done.counts.items() if count),
                f"before   {before.told()}",
                f"after    {found.told()}",
                f"keys     {len(gone)} destroyed; {removed.moved} living ones moved, log {removed.log}; the destroyed ones' bytes found in: {bytes_left.told().split(': ')[-1]}",
                f"entry    {first.entry_id}: " + ", ".join(sorted({str(value.value) if value is REDACTED else "READABLE" for value in entry.values()})),
            ],
            one_member_of_staff_is_not_enough=not alone,
            no_store_holds_a_byte_of_her_keys=removed.keys >= len(gone) > 0 and bytes_left.total == 0,
            no_store_holds_her_words=found.total == 0 and hot.total == 0,
            her_entry_cannot_be_opened=bool(entry) and all(value is REDACTED for value in entry.values()),
            nobody_is_known_under_her_address=not await self._known(f"email:{her.email}"),
            nobody_is_known_under_her_id=not await self._known(her.person),
        )  # fmt: skip

    async def outlive(self, her: Chosen, first: Decision) -> None:
        """The old file, a new file, the page and the whole log."""
        key, old = self.flow.ids["key"], self.flow.files["receipt"]
        fresh = old.with_name(f"{first.decision_id}.after.json")
        receipt = await self.house.receipt(first.decision_id)
        await asyncio.to_thread(fresh.write_text, receipt.text, encoding="utf-8")
        (good, _), (still, lines) = await offline(old, key), await offline(fresh, key)
        found = await asyncio.to_thread(traces.search, [fresh.parent], self.flow.words)
        page = await self.client.get(self.flow.ids["why"])
        report = await self.house.audit.verify_log()
        redacted = [line for line in lines if line.endswith("redacted, integrity proven")]
        self.flow.files["receipt after"] = fresh
        self.flow.add(
            "The proof stands",
            "The receipt that was made before still verifies: it holds ids and digests, no words. A receipt made now proves that the same entry is in the log, and "
            "says of its contents that they are redacted. The log is derived anew from its leaves and agrees with itself.",
            [
                f"old receipt  {'valid' if good else 'NOT VALID'}",
                *(clip(f"new receipt  {line}") for line in lines),
                f"why page     {page.status_code}: {'her data has been erased' if 'erased' in page.text else page.text[:80]}",
                f"log          {report.size} entries, {report.redacted} redacted, {len(report.findings)} findings",
            ],
            the_old_receipt_verifies=good,
            a_new_one_verifies_with_its_contents_redacted=still and len(redacted) > 3,
            neither_holds_a_word_of_hers=found.total == 0,
            the_why_page_tells_nothing=page.status_code == 200 and "erased" in page.text and her.email not in page.text,
            the_log_agrees_with_itself=report.ok and report.redacted > 0,
        )  # fmt: skip

    async def _may_email(self, her: Chosen) -> str:
        async with self.house.kernel.db.reading() as conn:
            state = await self.house.consent.state(conn, her.person)
        return str(permission(state, "marketing.email", "email", self.clock.now()).answer)

    async def _wrapped(self) -> dict[KeyId, bytes]:
        async with self.house.kernel.keys_db.reading() as conn:
            return await keys_store.all_wrapped(conn)

    async def _known(self, who: str) -> bool:
        try:
            async with self.house.kernel.db.reading() as conn:
                await self.house.identity.lookup(conn, who)
        except (NotFound, PersonNotFound):
            return False
        return True
