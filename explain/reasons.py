"""Which procedure ruled, and the reasons in plain words: what a person reads.

Enters: `DecisionFacts`, the concepts with their contributions, tested levers, a locale. Leaves: a `PersonView` of at most five main parameters. A
gate-driven outcome never gets a model-driven text (explain.E3); rules, holdout and exploration say so (E10); nothing is said that
the facts do not hold (X56). DSA Article 26's field names are kept: is_advertisement, on_behalf_of, paid_by, main_parameters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from explain import offers
from explain.concepts import UNNAMED, About, Concept, Control, told
from explain.facts import Advertisement, Agreed, DecisionFacts, Stage
from explain.feedback import Feedback, Said
from explain.levers import Lever
from explain.offers import Offer
from explain.wording import Words, words
from kernel.canonical import Json

_OWN_WORDS: Final[Mapping[Stage, Mapping[str, str]]] = {
    Stage.PUBLICATION: {"not_interested": "not_interested"}, Stage.CONSENT: {"pause.channel": "paused"},
}  # fmt: skip
"""Reasons of a stage that are told in words of their own, with the key of those words."""
_STAGES_IN_WORDS: Final = frozenset(stage.value for stage in _OWN_WORDS)
_CONTENTION: Final = "contention"  # decision's reason for giving up on a state that would not hold still


class Procedure(StrEnum):
    """What ruled. A gate is named by its stage."""

    HOLDOUT = "holdout"
    EXPLORATION = "exploration"
    FALLBACK = "fallback"
    RULES = "rules"
    OUTCOMES = "outcomes"
    ALIKE = "alike"
    ONLY_ONE = "only_one"
    MODEL = "model"
    NOTHING_OTHER = "nothing_other"
    BLOCKED = "blocked"
    CONSENT = "consent"
    REACH = "reach"
    SUPPRESSION = "suppression"
    SEGMENT = "segment"
    PUBLICATION = "publication"
    CAP = "cap"
    SURE = "sure"
    DIVERSITY = "diversity"
    CONTENTION = "contention"
    REDACTED = "redacted"


_BY_CHOICE: Final = frozenset(
    {Procedure.MODEL, Procedure.RULES, Procedure.OUTCOMES, Procedure.ALIKE, Procedure.EXPLORATION}
)  # told otherwise when nothing was chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Where a person changes something: one click from every parameter (explain.E5). Empty: there is no such place here."""

    preferences: str = ""
    page: str = ""
    passed_on: bool = (
        False  # behind a link that may have been: that she agreed is told, when and how is history (explain.E9)
    )

    def url(self, control: Control) -> str:
        """The address of one control."""
        if control == "preferences":
            return self.preferences
        return f"{self.page}#not-interested" if control == "not_interested" and self.page else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One main parameter (DSA 26(1)(d)): what it is, which way it worked, where it came from, how to change it."""

    name: str
    value_class: str
    contribution: str
    source: str
    purpose: str
    control: Control
    control_url: str
    key: str
    consent: str = ""
    controls: tuple[Offer, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """By the field names of DSA Article 26."""
        return {
            "name": self.name, "value_class": self.value_class, "contribution": self.contribution, "source": self.source,
            "purpose": self.purpose, "consent": self.consent, "control_url": self.control_url, "controls": [one.kind.value for one in self.controls],
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonView:
    """What a person may read through a link: kinds of information only, no values, ids or scores.

    `pulls`: beside each lever the control that pulls it, where one stands on the page. `controls`: those of the whole choice. `chosen`: there was a message. `unweighed`: nothing that is known of the person had a part in it.
    """

    locale: str
    procedure: str
    title: str
    lead: str
    headline: str
    is_advertisement: bool
    on_behalf_of: str
    paid_by: str
    who: tuple[str, ...]
    permission: str
    main_parameters: tuple[Parameter, ...]
    rules: tuple[str, ...] = ()
    levers: tuple[str, ...] = field(default=())
    untried: str = ""
    pulls: tuple[Offer | None, ...] = field(default=())
    controls: tuple[Offer, ...] = ()
    preferences_url: str = ""
    chosen: bool = False
    unweighed: bool = False

    @property
    def redacted(self) -> bool:
        """Whether what was behind the decision is gone."""
        return self.procedure == Procedure.REDACTED

    def offer(self, said: Said) -> Offer | None:
        """The control of this page that a word means; None where it has none such."""
        shown = [*self.controls, *(one for p in self.main_parameters for one in p.controls), *(one for one in self.pulls if one)]  # fmt: skip
        return next((one for one in shown if (one.kind, one.subject) == (said.kind, said.subject)), None)

    def as_json(self) -> dict[str, Json]:
        """The view as the API answers it."""
        return {
            "locale": self.locale, "procedure": str(self.procedure), "redacted": self.redacted, "title": self.title,
            "lead": self.lead, "headline": self.headline, "is_advertisement": self.is_advertisement,
            "on_behalf_of": self.on_behalf_of, "paid_by": self.paid_by, "permission": self.permission,
            "main_parameters": [one.as_json() for one in self.main_parameters], "rules": list(self.rules),
            "levers": list(self.levers), "untried": self.untried, "controls": [one.kind.value for one in self.controls],
            "preferences_url": self.preferences_url,
        }  # fmt: skip


def redacted_view(locale: str) -> PersonView:
    """What is left to say when the person was erased."""
    say = words(locale)
    return PersonView(
        locale=say.language, procedure=Procedure.REDACTED, title=say("redacted.title"), lead="",
        headline=say("redacted.text"), is_advertisement=False, on_behalf_of="", paid_by="", who=(), permission="",
        main_parameters=(),
    )  # fmt: skip


def outdated(view: PersonView) -> PersonView:
    """The view where rules changed before it was explained: that more might have changed it than is shown."""
    return replace(view, untried=words(view.locale)("levers.untried"))


def apart(view: PersonView) -> PersonView:
    """The view where two people were taken for one and are not any more: that it was so, and nothing that was known of either. What ends something for the
    contact stays; a word against the content would be kept for whoever it was decided for, who may be the other one.
    """
    say = words(view.locale)
    return replace(
        view,
        headline=say("headline.mixed"),
        permission="",
        main_parameters=(),
        rules=(),
        levers=(),
        untried="",
        pulls=(),
        controls=tuple(one for one in view.controls if one.kind is not Feedback.NOT_INTERESTED),
        unweighed=False,
    )


def procedure(facts: DecisionFacts) -> Procedure:
    """Which procedure ruled this decision. Gates come before chance, chance before the model."""
    if facts.policy.holdout:
        return Procedure.HOLDOUT
    lost = {one.stage for one in facts.candidates if one.stage is not None} - {Stage.SCORE}
    live = [one for one in facts.candidates if one.stage in {None, Stage.SCORE} and one.probability > 0]
    messages = [one for one in live if one.candidate_id != facts.choice or not facts.nothing_chosen]
    if facts.nothing_chosen and not messages:
        if any(one.stage is Stage.BLOCKED and one.reason == _CONTENTION for one in facts.candidates):
            return Procedure.CONTENTION
        # The gate that came last ruled: what would have to change first for a message to leave.
        return Procedure(max(lost, key=list(Stage).index)) if lost else Procedure.NOTHING_OTHER
    if facts.policy.explored:
        return Procedure.EXPLORATION
    if facts.policy.ranked_by in {Procedure.OUTCOMES, Procedure.ALIKE}:
        return Procedure(facts.policy.ranked_by)
    if facts.policy.fallback is not None and facts.policy.fallback != "no_model":
        return Procedure.FALLBACK
    if facts.policy.ranked_by != "ranker" or (facts.score is None and not facts.nothing_chosen):
        return Procedure.RULES
    if len(live) <= 1:
        return Procedure.ONLY_ONE
    return Procedure.MODEL


def person_view(
    facts: DecisionFacts, concepts: Sequence[Concept], levers: Sequence[Lever], locale: str, controls: Controls
) -> PersonView:
    """The view of a person. `concepts` strongest first; they are used only where the model ruled."""
    say = words(locale)
    ruled = procedure(facts)
    parameters = _parameters(facts, concepts, say, controls) if ruled is Procedure.MODEL else ()
    rules = [f"ruled.{one}" for one in _others_ruled(facts, ruled)]
    if facts.segments and not facts.nothing_chosen and ruled is not Procedure.RULES:
        rules.insert(0, "ruled.group")
    ad = facts.advertisement
    if facts.nothing_chosen:  # nothing was sent, so there is nothing that is advertising or was paid for
        ad = replace(ad, is_advertisement=False, paid_by="")
    return PersonView(
        locale=say.language,
        procedure=ruled,
        title=say("title_nothing" if facts.nothing_chosen else "title"),
        lead=say("lead", date=say.date(facts.at)),
        headline=say(f"headline.{_headline(facts, ruled, concepts)}"),
        is_advertisement=ad.is_advertisement,
        on_behalf_of=ad.on_behalf_of,
        paid_by=ad.paid_by,
        who=_who(facts, ad, say),
        permission=_permission(facts, say, controls),
        main_parameters=parameters,
        rules=tuple(say(rule) for rule in rules),
        levers=tuple(_lever(lever, facts, say) for lever in levers),
        pulls=tuple(offers.pull(lever, facts, say) for lever in levers),
        controls=offers.controls(facts, say),
        preferences_url=controls.preferences,
        chosen=not facts.nothing_chosen,
        unweighed=ruled in {Procedure.RULES, Procedure.FALLBACK, Procedure.OUTCOMES} and not facts.segments,
    )


def _who(facts: DecisionFacts, ad: Advertisement, say: Words) -> tuple[str, ...]:
    if facts.nothing_chosen:
        return (say("who.decided_for", who=ad.on_behalf_of),) if ad.on_behalf_of else ()
    lines = [say("who.is_advertisement" if ad.is_advertisement else "who.not_advertisement")]
    lines += [say("who.on_behalf_of", who=ad.on_behalf_of)] if ad.on_behalf_of else []
    lines += [say("who.paid_by", who=ad.paid_by)] if ad.paid_by else []
    return tuple(lines)


def _headline(facts: DecisionFacts, ruled: Procedure, concepts: Sequence[Concept]) -> str:
    if facts.nothing_chosen and ruled in _BY_CHOICE:
        return f"nothing_{ruled}"
    if ruled is Procedure.RULES and facts.segments:
        return "rules_group"
    if ruled.value in _STAGES_IN_WORDS and len(words_ := _in_words(facts, Stage(ruled.value))) == 1:
        return words_[0]
    if ruled is not Procedure.MODEL:
        return ruled
    about_person = any(one.about == "person" and one.key != UNNAMED for one in told(concepts))
    return "model" if about_person else "model_message"


# Where what is not known of a person comes from.
_SOURCE: Final[Mapping[About, str]] = {"person": "source_none", "message": "source_message", "moment": "source_moment"}


def _parameters(
    facts: DecisionFacts, concepts: Sequence[Concept], say: Words, controls: Controls
) -> tuple[Parameter, ...]:
    found: list[Parameter] = []
    for concept in told(concepts):
        newest = concept.provenance[0] if concept.provenance else None
        if newest is not None:
            source = say("source", source=newest.source, age=say.age(newest.observed_at, facts.at))
            purpose = say("source_purpose", purpose=say.of("purpose", newest.purpose))
        else:
            source, purpose = say(_SOURCE[concept.about]), ""
        agreed = next((one for one in facts.agreed if newest is not None and one.act == newest.act), None)
        if concept.about != "person":
            value = "none"
        elif concept.key == UNNAMED:
            value = "unused"
        else:
            value = "present" if concept.present else "absent"
        # Nothing was chosen that she could turn away, so the page has no such button.
        control: Control = (
            "preferences" if facts.nothing_chosen and concept.control == "not_interested" else concept.control
        )
        found.append(
            Parameter(
                name=say(f"concepts.{concept.key}"),
                value_class=say(f"value.{value}"),
                contribution=say(f"direction.{concept.direction}"),
                source=source,
                purpose=purpose,
                consent=_agreed(agreed, say, controls),
                control=control,
                control_url=controls.url(control),
                key=concept.key,
                controls=offers.beside(concept, facts, say),
            )
        )
    return tuple(found)


def _agreed(agreed: Agreed | None, say: Words, controls: Controls) -> str:
    if agreed is None:
        return ""
    if controls.passed_on:
        return say("source_agreed")
    return say("source_consent", date=say.date(agreed.given_at), how=say.of("ways", agreed.way))


def _permission(facts: DecisionFacts, say: Words, controls: Controls) -> str:
    if facts.nothing_chosen or facts.permission is None or facts.permission.answer != "granted":
        return ""
    purpose = say.of("purpose", facts.purpose)
    if facts.permission.basis == "consent" and facts.permission.given_at is not None:
        if controls.passed_on:
            return say("permission.agreed", purpose=purpose)
        return say("permission.consent", purpose=purpose, date=say.date(facts.permission.given_at))
    return say("permission.other", purpose=purpose, basis=say.of("basis", facts.permission.basis or "other"))


def _in_words(facts: DecisionFacts, stage: Stage) -> list[str]:
    """Why contents were lost to a stage, as keys of words, each once: hers first, the general one last."""
    own = _OWN_WORDS.get(stage, {})
    lost = {own.get(one.reason or "", str(stage)) for one in facts.candidates if one.stage is stage}
    return [key for key in (*dict.fromkeys(own.values()), str(stage)) if key in lost]


def _others_ruled(facts: DecisionFacts, ruled: Procedure) -> list[str]:
    """What took other messages out, in the order of asking; what the headline says is not said twice."""
    found: list[str] = []
    for stage in _other_stages(facts, ruled):
        found += _in_words(facts, stage)
    if ruled.value in _STAGES_IN_WORDS and len(said := _in_words(facts, Stage(ruled.value))) > 1:
        found += [one for one in said if one != ruled]
    return found


def _other_stages(facts: DecisionFacts, ruled: Procedure) -> list[Stage]:
    """The gates that took other messages out, in the order of asking; the one in the headline is left out."""
    lost = {one.stage for one in facts.candidates if one.stage is not None} - {Stage.SCORE}
    if ruled is Procedure.CONTENTION:
        lost -= {Stage.BLOCKED}
    return [stage for stage in Stage if stage in lost and stage.value != ruled.value]


def _lever(lever: Lever, facts: DecisionFacts, say: Words) -> str:
    if lever.channel is None:
        outcome = say("levers.nothing")
    elif facts.nothing_chosen:
        outcome = say("levers.a_message", channel=say.of("channel", lever.channel))
    elif lever.channel != facts.channel:
        outcome = say("levers.other_channel", channel=say.of("channel", lever.channel))
    else:
        outcome = say("levers.other_message")
    match lever.kind:
        case "withdraw":
            return say("levers.withdraw", purpose=say.of("purpose", lever.subject), outcome=outcome)
        case "without":
            return say("levers.without", concept=say(f"concepts.{lever.subject}"), outcome=outcome)
        case "decline":
            return say("levers.decline", outcome=outcome)
        case "pause":
            return say("levers.pause", channel=say.of("channel", lever.subject), outcome=outcome)
        case "wait":
            return say("levers.wait", date=say.date(datetime.fromisoformat(lever.subject)), outcome=outcome)
        case "grant":
            purpose = lever.subject.partition("|")[0]
            return say("levers.grant", purpose=say.of("purpose", purpose), outcome=outcome)
