"""One person's way through the house, from two records to a proof that outlives her data.

Enters: an open house in a fresh data folder, its HTTP application, the clock it runs on. Leaves: `Step`s with what was seen and with claims, each
of which was checked on this run. Nothing is asserted here: who shows the steps decides what a claim that does not hold means.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from audit.access.principal import Scope
from events import mapping
from events.log import Source
from explain.wording import words
from identity.identifiers import Identifier
from kernel.clock import FrozenClock
from kernel.ids import ActId
from orchestration.decision.catalogue import NOTHING
from orchestration.decision.request import Decision, DecisionRequest
from orchestration.demo import letters
from orchestration.demo.chosen import Chosen, choose
from orchestration.demo.farewell import Farewell
from orchestration.demo.telling import Flow, bearer, clip, counted, masked, offline, short
from orchestration.demo.world import make, truth_of_rows, write
from orchestration.pipeline.run import NAMES, walk
from orchestration.wiring import House

PEOPLE: Final = 300
SEED: Final = 7
NOTICE: Final = "May we send you offers and news by email? You can say no at any time, with one click in every message."
SAID: Final = "yes-offers-by-email-from-the-checkout-form"
KETTLE: Final = "Hammered copper kettle with walnut handle"
SECTIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "channels": {
        "sender_name": "Meadow & Mill",
        "sender_address": "hello@shop.example",
        "postal_address": "Meadow & Mill, 1 Example Street, 00000 Example Town",
        "list_domain": "shop.example",
    },
    "consent": {"controller": "Meadow & Mill"},
    "audit": {"origin": "shop.example/log"},
}
"""Settings of the shop that the flow plays in; `base_url` is the caller's."""


async def follow(house: House, app: Any, clock: FrozenClock, stores: Sequence[Path] = ()) -> Flow:
    """Walk. `stores` are folders with data beside the house's own (engines that run elsewhere)."""
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url=house.kernel.settings.base_url) as client:
        return await _Walk(house, client, clock, [house.kernel.settings.data_dir, *stores]).all()


class _Walk:
    def __init__(self, house: House, client: httpx.AsyncClient, clock: FrozenClock, folders: list[Path]) -> None:
        self.house = house
        self.client = client
        self.clock = clock
        self.folders = folders
        self.flow = Flow()
        self.proofs = house.kernel.settings.data_dir / "receipts"
        self.agreed_at = clock.now()
        self.catalogue = (Path(__file__).parent / "flow.yaml").read_text(encoding="utf-8")

    async def all(self) -> Flow:
        her = await self.link()
        await self.consent(her)
        first = await self.decide(her, await self.event(her))
        letter = await self.send(her, first)
        await self.prove(first)
        await self.why(first, letter.links["why"])
        self.flow.ids["key"] = self.key
        rest = Farewell(self.house, self.client, self.clock, self.folders, self.flow)
        await rest.all(her, first, letter)
        return self.flow

    async def link(self) -> Chosen:
        """Import a small world, find out who is who, choose one."""
        world = await asyncio.to_thread(make, PEOPLE, SEED, self.clock.now())
        files = await asyncio.to_thread(write, world, self.house.kernel.settings.data_dir / "input")
        async with self.house.kernel.db.transaction() as conn:
            await self.house.decisions.publish_catalogue(conn, self.catalogue, actor="staff:ann")
            await self.house.events.register_source(conn, Source("cart", "service", "contract", ("marketing.email",)))
        for what, file, plan in files:
            if what == "people":
                await self.house.importer.run(file, mapping.load(plan))
        await self.house.events.analyse()
        (await walk(self.house, NAMES[: NAMES.index("raw_profiles")])).ensure()
        her = await choose(self.house, world)
        truth = truth_of_rows(world)
        hers = {row for row, number in truth.items() if number == her.number}
        edge = her.why.edge or min(her.why.path, key=lambda one: one.weight)
        self.flow.words = (*her.words, SAID, KETTLE)
        self.flow.ids["person"] = her.person
        self.flow.add(
            "Two sources, one person",
            f"{len(world.rows)} records of four sources were imported and linked. One person's records come from "
            f"{' and '.join(her.sources)}; no common key says that they are hers: the model weighed what they hold.",
            [
                f"person  {her.person}",
                *(f"record  {r.id}  from {r.source}, with {', '.join(sorted(r.traits))}" for r in her.records),
                f"linked  at weight {edge.weight:.2f} (log2 odds), sharing {', '.join(sorted(her.why.shared)) or 'no identifier'}",
                f"reached at {masked(her.email)}, an address that only she has",
            ],
            the_records_are_one_person=her.why.same,
            in_the_world_they_are_all_of_one_person={(r.source, r.source_key) for r in her.records} == hers,
        )  # fmt: skip
        return her

    async def consent(self, her: Chosen) -> None:
        """Offers by e-mail, and nothing else."""
        self.clock.advance(timedelta(minutes=1))
        self.agreed_at = self.clock.now()
        self.officer = (await self.house.access.create_key([Scope.OFFICER], actor="staff:ann", name="forms")).secret
        body = {
            "subject": f"email:{her.email}", "purpose": "marketing.email", "status": "granted", "channel": "email",
            "notice_text": NOTICE, "notice_version": "2026-11", "mechanism": "form", "jurisdiction": "gdpr",
            "given_at": self.agreed_at.isoformat(), "raw": SAID,
        }  # fmt: skip
        made = await self.client.post("/v1/consents", json=body, headers=bearer(self.officer))
        state = await self._permissions(her)
        granted = sorted(k for k, answer in state.items() if answer == "granted" and k.startswith("marketing"))
        self.flow.ids["act"] = made.json()["ids"][0]
        self.flow.add(
            "She agrees to offers by email, and to nothing else",
            "The shop's form records her yes, with the words she was shown. Everything she was not asked stays as it was: no.",
            [
                f"POST /v1/consents  ->  {made.status_code}, act {self.flow.ids['act']}",
                *(f"{key:<28} {state[key]}" for key in sorted(state) if key.startswith("marketing") and key.endswith(("email", "push", "personalize|"))),
            ],
            email_is_granted="marketing.email|email" in granted,
            nothing_else_of_marketing_is=all(key.startswith("marketing.email|") for key in granted),
        )  # fmt: skip

    async def event(self, her: Chosen) -> str:
        """She puts something into her cart."""
        self.clock.advance(timedelta(days=3))
        key = await self.house.access.create_key([Scope.COLLECT], actor="staff:ann", name="cart", source="cart")
        call = {
            "userId": her.login, "event": "Product Added", "messageId": "cart-0001",
            "timestamp": self.clock.now().isoformat(),
            "properties": {"product_id": "K-17", "name": KETTLE, "price": 89.0},
        }  # fmt: skip
        done = [await self.client.post("/v1/track", json=call, headers=bearer(key.secret)) for _ in range(2)]
        (first,), (again,) = (answer.json()["results"] for answer in done)
        async with self.house.kernel.db.reading() as conn:
            stored = (await self.house.events.of_people(conn, [her.person])).get(her.person, [])
        self.flow.ids["event"] = str(first["eventId"])
        self.flow.add(
            "An event arrives",
            "The cart tells that something was put in it. The answer comes after the event is durable; the same call again changes nothing.",
            [f"POST /v1/track  ->  {done[0].status_code} {first['status']}, event {first['eventId']}", f"the same again  ->  {again['status']}"],
            it_is_accepted_once=(first["status"], again["status"], len(stored)) == ("accepted", "duplicate", 1),
            it_is_hers=[one.event_id for one in stored] == [first["eventId"]],
        )  # fmt: skip
        return str(first["eventId"])

    async def decide(self, her: Chosen, event: str) -> Decision:
        """The event triggers a choice, asked by the identifier that came with it."""
        made = await self.house.decisions.decide(
            DecisionRequest(
                placement="cart_reminder", identifiers=(Identifier("login_id", her.login),), trigger="Product Added",
                context={"event": event}, send=True, seed="cart-0001", actor="system:trigger",
            )
        )  # fmt: skip
        record = await self.house.decisions.show(made.decision_id)
        hot, service = [await self.house.profiles.hot(her.person, p) for p in ("marketing.personalize", "service")]
        column = self.house.profiles.features.names.index("cart_adds_7d")
        unseen = (hot.permitted, hot.origins, hot.features[column], service.features[column]) == (False, (), 0.0, 1.0)
        self.flow.ids |= {"first": made.decision_id, "delivery": str(made.delivery_id)}
        self.flow.add(
            "The event triggers a decision",
            "Candidates are judged in a fixed order, the choice is drawn from recorded probabilities, and the record, the log entry, the "
            "cap and the queued message are one commit. What she did may not be used to choose for her: to the ranking the thing in her cart does not exist, though a service message could name it.",
            [
                f"decision  {made.decision_id}",
                *(f"{one.id:<24} p={one.propensity:.3f}{'' if one.rejection is None else f'  lost at {one.rejection.stage}: {one.rejection.reason}'}" for one in made.outcome.judged),
                f"things in the cart  {hot.features[column]:.0f} for marketing.personalize, {service.features[column]:.0f} for service",
                f"ranked by {made.outcome.ranked_by} ({made.outcome.fallback}), delivery {made.delivery_id}",
            ],
            the_decision_is_about_her=made.person == her.person,
            the_message_was_chosen=made.variant == "cart_waiting" and made.delivery_id is not None,
            the_record_names_the_trigger=record["trigger"] == "Product Added",
            what_she_did_could_not_be_weighed=unseen,
            run_again_it_gives_the_same_bytes=(await self.house.decisions.replay(made.decision_id, actor="staff:ann")).identical,
        )  # fmt: skip
        return made

    async def send(self, her: Chosen, made: Decision) -> letters.Letter:
        """The dispatcher asks the gate again and writes the message into the outbox."""
        report = await self.house.channels.dispatch()
        (file,) = (self.house.kernel.settings.data_dir / "outbox").rglob(f"{made.delivery_id}.eml")
        letter = letters.read(file)
        self.flow.files["mail"] = file
        self.flow.add(
            "The message leaves",
            "Consent, suppression and lifetime are asked once more in the transaction that sends. Every message says why it came and "
            "how to end it. Her first name is not in it: it would be personalisation, to which she did not agree.",
            [
                f"dispatched  {counted(report.states)}",
                f"To: {masked(letter.to)}",
                f"Subject: {letter.subject}",
                f"List-Unsubscribe: <{short(letter.unsubscribe)}>",
                f"List-Unsubscribe-Post: {letter.unsubscribe_post}",
                *(f"{name:<12} {short(link)}" for name, link in letter.links.items()),
            ],
            one_message_was_accepted=dict(report.states) == {"accepted": 1},
            it_goes_to_her_address=letter.to == her.email,
            it_can_be_ended_with_one_click=letter.unsubscribe_post == "List-Unsubscribe=One-Click" and "/u/" in letter.unsubscribe,
            no_name_of_hers_is_in_it=not any(str(r.traits.get("first_name") or her.email).lower() in letter.text.lower().replace(her.email, "") for r in her.records),
        )  # fmt: skip
        return letter

    async def prove(self, made: Decision) -> None:
        """A receipt as a file, checked by another process that has nothing but the file and the key."""
        receipt = await self.house.receipt(made.decision_id)
        file = self.proofs / f"{made.decision_id}.json"
        copy = self.proofs / "altered.json"
        await asyncio.to_thread(self.proofs.mkdir, exist_ok=True)
        await asyncio.to_thread(file.write_text, receipt.text, encoding="utf-8")
        await asyncio.to_thread(copy.write_bytes, bent(receipt.text))
        key = (await self.house.audit.verifier_keys())[-1].text
        self.key = key
        (good, lines), (bad, faults) = await offline(file, key), await offline(copy, key)
        self.flow.files["receipt"] = file
        self.flow.add(
            "The receipt verifies offline",
            "One file proves the decision: the log entry, what it commits to, the path to a signed checkpoint. A process with an empty "
            "environment and a tripwire on sockets checks it; a copy with one bit turned over fails.",
            [f"key  {key}", *(clip(line) for line in lines), "--- altered", *(clip(line) for line in faults if line.startswith(("FAILED", "not")))],
            it_verifies_without_network=good,
            a_copy_with_one_bit_changed_does_not=not bad,
        )  # fmt: skip

    async def why(self, made: Decision, link: str) -> None:
        """What she reads behind the link, sentence by sentence, against what the stores say."""
        self.flow.ids["why"] = link
        page = await self.client.get(link)
        told = letters.sentences(page.text)
        truths = await self._truths(made)
        holds = {line: truths.get(line, (False, "nothing that the stores say")) for line in told}
        self.flow.add(
            "The why page names true facts",
            "The link in the message needs no login. Every sentence on the page is held against what the stores say, not against the page's own source; "
            "one that nothing bears out, or one that is missing, would fail here.",
            [f"GET {short(link)}  ->  {page.status_code}", *(f"“{line}”\n    borne out by {why}" for line, (_, why) in holds.items())],
            every_sentence_is_true=bool(told) and all(true for true, _ in holds.values()),
            nothing_true_is_left_out=set(truths) <= set(told),
            it_shows_no_word_of_hers=not any(word.lower() in page.text.lower() for word in self.flow.words) and "rec_" not in page.text,
            it_runs_no_script_and_sets_no_cookie="<script" not in page.text and "set-cookie" not in page.headers,
        )  # fmt: skip

    async def _truths(self, made: Decision) -> dict[str, tuple[bool, str]]:
        """Every sentence that may be said about this decision: whether it is true, and what says so."""
        say = words("en")
        offers = say("purpose.marketing.email")
        row = await self.house.decisions.row(made.decision_id)
        model = (await self.house.learning.active(row.placement)).model
        without = await self.house.decisions.again(made.decision_id, {"withdraw": "marketing.email"})
        declined = await self.house.decisions.again(made.decision_id, {"declined": "cart_waiting"})
        variant = (await self.house.decisions.shelf.current()).catalogue.variant("cart_waiting")
        async with self.house.kernel.db.reading() as conn:
            act = await self.house.consent.act(conn, ActId(self.flow.ids["act"]))
        rules = row.ranked_by == "rules" and not row.explored and model is None
        yes = act is not None and (act.purpose, str(act.status)) == ("marketing.email", "granted")
        return {
            say("headline.rules"): (rules, "the record: ranked by rules, not explored, and no model is active"),
            say("who.is_advertisement"): (variant.is_advertisement, "the catalogue"),
            say("who.on_behalf_of", who=variant.on_behalf_of): (row.variant == variant.id, "the catalogue"),
            say("who.paid_by", who=variant.paid_by): (row.variant == variant.id, "the catalogue"),
            say("permission.agreed", purpose=offers): (yes, f"the consent act {self.flow.ids['act']}"),
            say("lead", date=say.date(row.at)): (row.at == self.clock.now(), "the record's time"),
            say("no_reasons"): (rules, "the record: ranked by rules"),
            say("levers.decline", outcome=say("levers.nothing")): (
                declined.choice == NOTHING, "the decision, made again without that message",
            ),
            say("levers.withdraw", purpose=offers, outcome=say("levers.nothing")): (
                without.choice == NOTHING, "the decision, made again without that permission",
            ),
        }  # fmt: skip

    async def _permissions(self, her: Chosen) -> dict[str, str]:
        told = await self.client.get(f"/v1/people/{her.person}/consents", headers=bearer(self.officer))
        return {key: one["answer"] for key, one in told.json()["permissions"].items()}


def bent(text: str) -> bytes:
    """A receipt with one bit turned over, in the name of what was chosen."""
    raw = bytearray(text.encode())
    raw[raw.index(b"cart_waiting")] ^= 1
    return bytes(raw)
