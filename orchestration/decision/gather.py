"""Gathers what a decision may look at, from the rooms below, into one `Inputs`.

Enters: a request. Leaves: `Gathered`. The hot store advises here; whatever it says is asked again by the commit (fence, caps, suppression). Values
of features and ids only: the words of a person are read for one purpose, the slots of the chosen message.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from channels.advice import Advice, key_of
from channels.caps import CapRule
from channels.content import Action, Content, Slot, fill, missing_variable
from channels.deliveries import NewDelivery, No
from channels.errors import Unrenderable
from channels.web.standing import WEB
from consent.reasons import Reason
from identity.identifiers import parse_contact
from identity.service import Identity
from kernel import metrics
from kernel.errors import Conflict, NotFound
from kernel.ids import IdentifierId, KeyId, PersonId, is_id
from kernel.kernel import Kernel
from kernel.model import Model
from orchestration.decision import store
from orchestration.decision.catalogue import Catalogue, Holdout, Placement
from orchestration.decision.errors import SubjectAmbiguous
from orchestration.decision.feedback import declined
from orchestration.decision.inputs import Arm, HoldoutDraw, Inputs, Versions
from orchestration.decision.items import slot_texts
from orchestration.decision.models import Models
from orchestration.decision.offering import offering
from orchestration.decision.origin import Origin
from orchestration.decision.outbound import Outbound
from orchestration.decision.policies.finding import Policies
from orchestration.decision.policy import Policy
from orchestration.decision.record import Record
from orchestration.decision.request import DecisionRequest
from orchestration.decision.settings import DecisionSettings
from orchestration.decision.shelf import Shelf, Shelved
from orchestration.decision.significant import marked, permitted
from orchestration.decision.variants import name_parts
from orchestration.decision.warm import Warm
from orchestration.decision.weighing import balance, signals, usable
from profiles.errors import NobodyThere
from profiles.hot import HotProfile
from profiles.service import Profiles

QUEUED: Final = frozenset({"email", "push"})  # channels whose messages leave through the delivery ledger
_NO_ADVICE: Final = Advice(frozenset(), {})
_BLOCKING: Final[Mapping[str, str]] = {Reason.ERASED: "erased", Reason.RESTRICTED: "restricted"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """Inputs and what is needed after the choice."""

    inputs: Inputs
    model: Model | None
    policy: Policy
    shelved: Shelved
    placement: Placement
    hot: HotProfile
    at: datetime
    expires_at: datetime

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue that ruled when it was gathered."""
        return self.shelved.catalogue


class Gatherer:
    """One per process and event loop."""

    def __init__(
        self, kernel: Kernel, identity: Identity, profiles: Profiles, channels: Outbound, models: Models, shelf: Shelf,
        settings: DecisionSettings,
    ) -> None:  # fmt: skip
        self._kernel = kernel
        self._identity = identity
        self._profiles = profiles
        self._channels = channels
        self._models = models
        self.policies = Policies(models.learners, settings.policy)
        self._shelf = shelf
        self._settings = settings

    async def subject(self, request: DecisionRequest) -> tuple[PersonId, Warm | None]:
        """Who the request is about, with her hot profile, made anew where there was none: whoever has one was alive when it was made, and the commit's
        fence finds out what happened since. A dry run has no fence, so it asks Postgres. Raises as `person` does.
        """
        if (
            request.person is not None
            and is_id(request.person, "per")
            and not request.identifiers
            and not request.dry_run
        ):
            person = PersonId(request.person)
            shelved = await self._shelf.current()
            placement = shelved.catalogue.placement(request.placement)
            found = await self._warm(person, placement)
            if found.hot is not None:
                return person, found
            with suppress(NobodyThere):  # under this id: she may be somebody else's now, which `person` finds out
                made = await self._profiles.hot(person, placement.personalize_under, fresh=True)
                return person, replace(found, hot=made)
        return await self.person(request), None

    async def _warm(self, person: PersonId, placement: Placement) -> Warm:
        hot, stale, (advice,) = await self._profiles.warm_with(person, placement.personalize_under, [key_of(person)])
        return Warm(hot, advice or b"", stale)  # nothing there is an answer too

    async def person(self, request: DecisionRequest, *, fresh: bool = False) -> PersonId:
        """Who the request is about; `fresh`: by Postgres alone.

        Raises:
            SubjectAmbiguous: no subject or two. NotFound: nobody. Conflict: several people hold the identifiers.
        """
        if (request.person is None) == (not request.identifiers):
            raise SubjectAmbiguous("expected exactly one of person and identifiers, got none or both")
        if request.person is not None and is_id(request.person, "per"):
            async with self._kernel.db.reading() as conn:
                return await self._identity.lookup(conn, request.person)
        subject = list(request.identifiers) if request.person is None else [parse_contact(request.person)]
        if fresh:
            async with self._kernel.db.reading() as conn:
                (found,) = await self._identity.resolve(conn, [subject])
        else:
            (found,) = await self._identity.resolve_hot([subject])
        if found.person is not None:
            return found.person
        if found.candidates:
            raise Conflict(
                f"expected identifiers that one person holds, got some of {len(found.candidates)} people",
                code="ambiguous_subject",
                remedy="Send a person id, or an identifier that only this person has.",
            )
        raise NotFound(
            "expected identifiers that somebody holds, got some that nobody does",
            code="unknown_person",
            remedy="Send the person's events or records first (POST /v1/identify), then decide.",
        )

    async def gather(
        self, request: DecisionRequest, person: PersonId, *, warm: Warm | None = None, attempt: int = 1,
        refused: Mapping[str, str] | None = None,
    ) -> Gathered:  # fmt: skip
        """Everything of this moment. `refused` are arms that an earlier attempt could not commit, with the reason.

        The first attempt may rest on the hot store, or on the profile it is given; a later one reads Postgres, since something moved.
        """
        shelved = await self._shelf.current()
        placement = shelved.catalogue.placement(request.placement)
        with metrics.stage("profile"):
            if warm is None:
                warm = await self._warm(person, placement) if attempt == 1 else Warm(None, None)
            hot = warm.hot or await self._profiles.hot(person, placement.personalize_under, fresh=True)
        active = await self._models.active(placement.name)
        chosen = await self.policies.of(placement)
        treated = await self._models.treatment(placement.name, person)
        if treated is not None and treated.active is not None:
            active = treated.active
        at = self._kernel.clock.now()
        told = signals(placement, hot, self._profiles.features)
        seen = usable(placement, hot, told)
        found, market = offering(
            shelved, placement, seen, self._profiles.features, context=request.context, channels=request.channels,
            settings=self._settings,
        )  # fmt: skip
        permits = permitted(placement, hot.permissions, found)
        offered = {arm.channel for arm in found}
        reach = {channel: str(one) for channel, one in hot.reach.items() if channel in offered}
        advice = await self._advice(
            person, placement, hot, max(request.deliver_after or at, at), fresh=attempt > 1, words=warm.advice
        )
        no = {arm.id: f"cap:{advice.full[arm.channel]}" for arm in found if arm.channel in advice.full}
        no |= await self._unsendable(request, person, shelved, placement, found, at) | dict(refused or {})
        if request.page is not None:
            no |= _unshowable(shelved.catalogue, found)
        beside = request.beside
        no |= {arm.id: why for arm in found if (why := beside.refusal(arm)) is not None} if beside is not None else {}
        holdout = self._holdout(placement.holdout, person)
        context = marked(placement, request.context)
        if treated is not None:
            no = treated.refusals(found) | no  # what is out for another reason is out for that one
            holdout = treated.holdout(holdout)
            context["experiment"] = {treated.experiment: treated.arm}
        rule = placement.segment
        inputs = Inputs(
            at=at.isoformat(),
            person=person,
            placement=placement.name,
            personalize_under=placement.personalize_under,
            arms=found,
            permits=permits,
            reach=reach,
            versions=Versions(
                graph=int(hot.graph_version), consent=hot.consent_version, profile=hot.profile_version,
                catalogue=shelved.digest, feature_set=self._profiles.features.digest, policy=chosen.digest,
                model=active.model.digest if active.model is not None else None,
                items=shelved.assortment.version if placement.sources else None,
            ),
            feature_names=self._profiles.features.names,
            features=seen.features,
            origins=tuple(
                Origin(feature=o.feature, trait=o.trait, source=o.source, observed_at=o.observed_at.isoformat(),
                       purpose=o.purpose, record_id=o.record_id, act=o.act, also=o.also)
                for o in seen.origins
            ),
            blocked=next((_BLOCKING[one.reason] for one in permits.values() if one.reason in _BLOCKING), None),
            suppressed=advice.suppressed,
            segments=frozenset(hot.segments),
            segment_all=rule.all if rule else (),
            segment_any=rule.any if rule else (),
            segment_none=rule.none if rule else (),
            refused=no,
            holdout=holdout,
            sure=hot.sure,
            min_sure=placement.min_sure,
            nothing_value=placement.nothing_value,
            eps_min=self._settings.eps_min,
            fallback=active.fallback,
            trigger=request.trigger or placement.trigger,
            context=context,
            attempt=attempt,
            declined=declined(found, hot.declined, shelved.catalogue.family),
            market=market,
            policy=chosen.form,
            without=warm.without(available=self._kernel.cache.available),
            balance=balance(
                shelved, placement, found, at=at, context=request.context, recent=advice.recent, found=told,
                holds=await self._held(person, placement, at),
            ),
        )  # fmt: skip
        return Gathered(
            inputs=inputs, model=active.model, policy=chosen.policy, shelved=shelved, placement=placement, hot=hot, at=at,
            expires_at=request.expires_at or at + placement.lifetime,
        )  # fmt: skip

    async def delivery(
        self, request: DecisionRequest, record: Record, gathered: Gathered, key_id: KeyId
    ) -> NewDelivery | None:
        """The message to queue in the decision's commit, when one is wanted and the channel has a queue."""
        arm = record.outcome.arm
        if not request.send or arm is None or arm.channel not in QUEUED:
            return None
        return NewDelivery(
            decision_id=record.decision_id,
            person=PersonId(record.inputs.person),
            identifier_id=IdentifierId(record.inputs.reach[arm.channel]),
            channel=arm.channel,
            purpose=arm.purpose,
            content=content_of(
                gathered.shelved,
                arm.variant,
                await self._traits(
                    gathered.catalogue, gathered.placement, arm.variant, PersonId(record.inputs.person), gathered.at
                ),
            ),
            deliver_after=request.deliver_after,
            expires_at=gathered.expires_at,
            cap_rules=cap_rules(gathered.placement, arm.channel),
            key_id=key_id,
        )

    async def _unsendable(
        self, request: DecisionRequest, person: PersonId, shelved: Shelved, placement: Placement,
        found: tuple[Arm, ...], at: datetime,
    ) -> dict[str, str]:  # fmt: skip
        """Arms that could not be queued whatever is drawn, with channels' reason.

        Asked before the draw: were they found out by drawing them, the probability recorded for every other arm would be too small.
        """
        if not request.send:
            return {}
        late = (request.expires_at or at + placement.lifetime) <= max(request.deliver_after or at, at)
        no: dict[str, str] = {}
        traits: Mapping[str, object] | None = None
        for arm in found:
            if arm.channel not in QUEUED:
                continue
            if late:
                no[arm.id] = No.EXPIRED
                continue
            if traits is None and shelved.catalogue.variant(arm.variant).traits:
                traits = await self._traits(shelved.catalogue, placement, arm.variant, person, at)
            try:
                reason = self._channels.refusal(content_of(shelved, arm.variant, traits or {}), arm.channel)
            except Unrenderable as fault:
                reason = fault.reason
            if reason is not None:
                no[arm.id] = reason
        return no

    async def _traits(
        self, catalogue: Catalogue, placement: Placement, name: str, person: PersonId, at: datetime
    ) -> Mapping[str, object]:
        """What may fill the slots of a variant: what the purpose may see of her; nothing when it has no such slots."""
        if not catalogue.variant(name).traits:
            return {}
        async with self._kernel.db.reading() as conn:
            seen = await self._profiles.unified(conn, [person], placement.personalize_under, at)
        return {key: trait.value for key, trait in seen[person].traits.items()} if person in seen else {}

    async def _advice(
        self,
        person: PersonId,
        placement: Placement,
        hot: HotProfile,
        at: datetime,
        *,
        fresh: bool,
        words: bytes | None,
    ) -> Advice:
        """Suppressed channels, channels whose cap has no room now, and messages of late. The commit asks again."""
        reach = {channel: one for channel, one in hot.reach.items() if channel in QUEUED}
        wanted = [channel for channel in placement.channels if channel in reach]
        if not wanted:
            return _NO_ADVICE
        rules: dict[str, tuple[CapRule, ...]] = {channel: cap_rules(placement, channel) for channel in wanted}
        found = await self._channels.advice(person, reach, rules, at, fresh=fresh, words=words)
        return replace(found, suppressed=found.suppressed.intersection(wanted))

    async def _held(self, person: PersonId, placement: Placement, at: datetime) -> str | None:
        if not placement.holds:
            return None
        async with self._kernel.db.reading() as conn:
            return await store.held(conn, person, placement.name, at)

    def _holdout(self, holdout: Holdout | None, person: PersonId) -> HoldoutDraw | None:
        """Membership by a keyed hash of name and person: stable, and not to be guessed from the id."""
        if holdout is None:
            return None
        word = self._kernel.vault.pepper(f"holdout:{holdout.name}", person)
        unit = int.from_bytes(word[:8], "big") / 2**64
        return HoldoutDraw(name=holdout.name, share=holdout.share, member=unit < holdout.share)


def _unshowable(catalogue: Catalogue, found: tuple[Arm, ...]) -> dict[str, str]:
    """Web arms whose slots have no neutral words: published content is the same for everybody, so nothing of hers can fill them."""
    return {
        arm.id: "missing_variable"
        for arm in found
        if arm.channel == WEB and any(one.fallback is None for one in catalogue.variant(arm.variant).traits.values())
    }


def content_of(shelved: Shelved, name: str, traits: Mapping[str, object]) -> Content:
    """The words of a variant, its slots filled from these traits, the item in it, and nothing else.

    Raises:
        Unrenderable: a required slot stays empty, or the item is no more.
    """
    variant = shelved.catalogue.variant(name)
    texts: dict[str, str] = {}
    if variant.template:
        item = shelved.assortment.items.get(name_parts(name)[1] or "")
        said = slot_texts(variant, item, shelved.catalogue.categories) if item is not None else None
        if said is None:
            raise missing_variable(next(key for key, one in variant.slots.items() if one.item is not None))
        texts = said
        # An address is no text: it stands where it is published, and is never printed as words.
        variant = variant.filled(
            {key: text for key, text in texts.items() if variant.slots[key].item in {"url", "image"}}
        )
    slots = [Slot(name=key, trait=one.trait, fallback=one.fallback) for key, one in variant.traits.items() if one.trait]
    spoken = {key: text for key, text in texts.items() if variant.slots[key].item not in {"url", "image"}}
    return Content(
        content_id=name,
        subject=variant.subject,
        heading=variant.heading or variant.subject or variant.label,
        paragraphs=variant.paragraphs,
        preheader=variant.preheader,
        action=Action(label=variant.action.label, url=variant.action.url) if variant.action else None,
        locale=variant.locale,
        advertisement=variant.is_advertisement,
        on_behalf_of=variant.on_behalf_of or shelved.catalogue.controller,
        slots=fill(slots, traits) | spoken,
    )


def cap_rules(placement: Placement, channel: str) -> tuple[CapRule, ...]:
    """The placement's caps as channels counts them: by placement, by channel, or over everything sent."""
    names = {"placement": f"placement:{placement.name}", "channel": f"channel:{channel}", "all": "all"}
    return tuple(
        CapRule(
            name=names[cap.scope],
            limit=cap.limit,
            window=None if cap.window == "day" else timedelta(seconds=cap.window),
            zone=cap.zone,
        )
        for cap in placement.caps
    )
