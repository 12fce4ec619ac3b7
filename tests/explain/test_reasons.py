"""Which procedure ruled, and that the words say only what the record holds."""

import re
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explain import concepts, levers
from explain.attribution import attribute
from explain.controls import offered
from explain.explanation import compose, read, write
from explain.facts import NOTHING, Agreed, Candidate, FeatureValue, PermissionFact, PolicyFacts, Stage, Verdict
from explain.feedback import Feedback, Said
from explain.levers import Lever
from explain.neutral import expected
from explain.reasons import Controls, PersonView, Procedure, person_view, procedure
from explain.significant import Use, answer
from explain.wording import LOCALES, words
from kernel.ids import ActId
from tests.explain.conftest import NOW, ROW, Decisions, facts, gated, model, provenance, ruled_by_rules

CONTROLS = Controls(preferences="https://shop.example/preferences/t", page="https://shop.example/why/t")


def view(made, locale: str = "en", found: tuple = (), controls: Controls = CONTROLS) -> PersonView:
    attribution = None
    if made.features and made.score is not None:
        row = np.array([one.value for one in made.features])
        attribution = attribute(model(), row, made.score, check=False)
    content = compose(made, attribution)
    return person_view(made, content.concepts, found, locale, controls)


def text(seen: PersonView) -> str:
    parts = [
        p
        for one in seen.main_parameters
        for p in (one.name, one.contribution, one.source, one.purpose, one.value_class)
    ]
    return " ".join(
        [seen.title, seen.lead, seen.headline, *seen.who, seen.permission, *parts, *seen.rules, *seen.levers]
    )


def test_a_reason_says_since_when_and_how_she_agreed_that_it_is_used() -> None:
    agreed = Agreed(act=ActId("act_secret"), given_at=NOW - timedelta(days=40), way="preference_page")
    known = [one for one in view(facts(agreed=(agreed,))).main_parameters if one.purpose]
    assert known
    assert {one.consent for one in known} == {"You agreed to that on 24 January 2026, on the page with your choices."}
    for locale, told in (("en", "You agreed to that."), ("de", "Dazu haben Sie Ja gesagt.")):  # when and how is history
        bare = view(facts(agreed=(agreed,)), locale, controls=replace(CONTROLS, passed_on=True))
        assert {one.consent for one in bare.main_parameters if one.purpose} == {told}
        assert "2026" not in bare.permission
        assert bare.permission != view(facts(), locale).permission
    other = replace(agreed, act=ActId("act_of_something_else"))
    assert {one.consent for one in view(facts(agreed=(other,))).main_parameters} == {""}
    assert read(write(compose(facts(), None))[0]).facts.agreed == ()


def test_stop_picking_takes_back_the_purpose_that_the_reason_rested_on() -> None:
    """A placement may look at people under another purpose than the usual one: then the usual one ends nothing here."""
    made = facts(withheld=("views_30d",), personalized_under="marketing.personalize.deep")
    (unnamed,) = [one for one in view(made).main_parameters if one.key == "unnamed"]
    assert [(one.kind, one.subject, one.label) for one in unnamed.controls] == [
        ("opt_out", "marketing.personalize.deep", "Stop picking for me")
    ]
    content = compose(made, None)
    assert offered(content, Said(Feedback.OPT_OUT, "marketing.personalize.deep"))
    assert not offered(content, Said(Feedback.OPT_OUT, "marketing.personalize"))
    usual = Lever(kind="withdraw", subject="marketing.personalize", choice=NOTHING, channel=None)
    older = replace(content, levers=(usual,))  # a lever that was kept and is shown is one that can be pulled
    assert offered(older, Said(Feedback.OPT_OUT, "marketing.personalize"))
    assert ("withdraw", "marketing.personalize.deep") in list(levers._tries(made, ()))
    assert facts().machine == "marketing.personalize"
    kept = facts(
        features=(FeatureValue(name="views_30d", value=1.0, provenance=(replace(provenance(), purpose="analytics"),)),)
    )
    assert kept.machine == "analytics", "what was kept before it was noted says it where it names what is known of her"


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("stage", [one for one in Stage if one is not Stage.SCORE])
def test_what_a_gate_decided_is_never_told_as_the_models_choice(stage: Stage, locale: str) -> None:
    say = words(locale)
    seen = view(gated(stage, holdout=stage is Stage.HOLDOUT), locale)
    assert seen.procedure == stage.value
    assert seen.headline == say(f"headline.{stage}")
    assert seen.main_parameters == ()
    assert seen.headline not in {say(f"headline.{one}") for one in ("model", "model_message", "nothing_model")}
    assert seen.permission == ""


def test_of_several_gates_the_last_one_asked_ruled() -> None:
    made = gated(Stage.CONSENT)
    capped = Candidate(candidate_id="plain@email", content="plain", channel="email", stage=Stage.CAP, reason="cap")
    assert procedure(replace(made, candidates=(capped, *made.candidates))) is Procedure.CAP


def test_a_decision_given_up_is_not_told_as_an_erasure() -> None:
    seen = view(gated(Stage.BLOCKED, "contention"))
    assert seen.procedure == "contention"
    assert "erased" not in text(seen)


@pytest.mark.parametrize(
    ("made", "ruled", "headline"),
    [
        (facts(), "model", "model"),
        (ruled_by_rules(), "rules", "rules"),
        (ruled_by_rules(segments=("buyers",)), "rules", "rules_group"),
        (ruled_by_rules(choice=NOTHING, channel=None), "rules", "nothing_rules"),
        (facts(policy=PolicyFacts(name="e", ranked_by="rules", fallback="score_not_finite"), score=None, features=()), "fallback", "fallback"),
        (facts(policy=PolicyFacts(name="e", ranked_by="ranker", explored=True)), "exploration", "exploration"),
        (facts(policy=PolicyFacts(name="e", ranked_by="ranker", explored=True), choice=NOTHING), "exploration", "nothing_exploration"),
        (facts(policy=PolicyFacts(name="thompson", ranked_by="outcomes")), "outcomes", "outcomes"),
        (facts(policy=PolicyFacts(name="linucb", ranked_by="alike"), choice=NOTHING), "alike", "nothing_alike"),
        (facts(choice=NOTHING, channel=None), "model", "nothing_model"),
        (facts(choice=NOTHING, channel=None, score=None, features=()), "model", "nothing_model"),
        (facts(candidates=facts().candidates[:1]), "only_one", "only_one"),
    ],
)  # fmt: skip
def test_the_procedure_that_ruled_is_named(made, ruled, headline) -> None:
    seen = view(made)
    assert (seen.procedure, seen.headline) == (ruled, words("en")(f"headline.{headline}"))
    assert bool(seen.main_parameters) is (ruled == "model" and made.score is not None)


def test_chance_and_rules_show_no_model_parameters_though_a_model_scored() -> None:
    seen = view(facts(policy=PolicyFacts(name="e", ranked_by="ranker", explored=True)))
    assert seen.main_parameters == ()


def test_gates_that_took_other_messages_out_are_named_beside_the_model() -> None:
    made = facts()
    capped = Candidate(candidate_id="x@push", content="x", channel="push", stage=Stage.CAP, reason="cap")
    seen = view(replace(made, candidates=(*made.candidates, capped)))
    assert seen.procedure == "model"
    assert seen.rules == (words("en")("ruled.cap"),)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("name", ["spend_180d", "views_30d", "days_since_cart", "orders_180d"])
def test_what_consent_withheld_is_never_named(name: str, locale: str) -> None:
    held = concepts.rule_of(name).concept
    shown = view(facts(), locale)
    assert words(locale)(f"concepts.{held}") in [one.name for one in shown.main_parameters]
    hidden = view(facts(withheld=(name,)), locale)
    assert words(locale)(f"concepts.{held}") not in text(hidden)
    # Withheld and never known read the same.
    assert text(hidden) == text(
        view(facts({k: v if k != name else float("nan") for k, v in ROW.items()}, withheld=(name,)), locale)
    )


def _key(one: FeatureValue) -> str:
    rule = concepts.rule_of(one.name)
    return rule.concept if rule.about != "person" or one.provenance else concepts.UNNAMED


@settings(deadline=None, max_examples=50)
@given(
    st.fixed_dictionaries({name: st.floats(-3, 3) for name in ROW}),
    st.sets(st.sampled_from([name for name in ROW if "=" not in name])),
)
def test_words_claim_only_what_the_record_holds(row, withheld) -> None:
    made = facts(row, withheld=tuple(withheld))
    seen = view(made)
    assert len(seen.main_parameters) <= 5
    parts = dict(zip(row, model().contributions(np.array([one.value for one in made.features]))[1], strict=True))
    by_concept: dict[str, float] = {}
    for one in made.features:
        by_concept[_key(one)] = by_concept.get(_key(one), 0.0) + parts[one.name]
    strongest = sorted(by_concept, key=lambda key: (-abs(by_concept[key]), key))
    told = [one.key for one in seen.main_parameters]
    assert told == [key for key in strongest if abs(by_concept[key]) > 1e-9][:5]  # the stated ones are the top ones
    for one in seen.main_parameters:
        columns = frozenset(place for place, each in enumerate(made.features) if _key(each) == one.key)
        alone = made.score - expected(model(), [each.value for each in made.features], columns)
        mostly = alone / by_concept[one.key] > 0.5
        way = "together" if not mostly else "raised" if alone > 0 else "lowered"
        assert one.contribution == words("en")(f"direction.{way}")
        if one.key in {concepts.UNNAMED, "message"}:
            assert "shop" not in one.source
        else:
            assert one.source == "From shop, 3 days old."


def test_concepts_sum_to_their_features() -> None:
    made = facts()
    row = np.array([one.value for one in made.features])
    found = attribute(model(), row, made.score, check=False)
    content = compose(made, found)
    assert abs(sum(one.contribution for one in content.concepts) + content.base - made.score) <= 1e-9


def test_a_personal_feature_with_the_name_of_a_message_column_is_not_told_as_the_message() -> None:
    one = facts().features[0]
    (found,) = concepts.group([replace(one, name="channel=Web", provenance=(provenance(),))], [1.0])
    assert (found.key, found.about) == (concepts.OTHER, "person")


def test_no_word_of_the_machinery_reaches_a_person() -> None:
    for locale in LOCALES:
        say = words(locale)
        for key in sorted(say.keys()):
            assert not re.search(
                r"\b(SHAP|model|Modell|score|feature|algorithm|propensity|epsilon)\b", say._words[key], re.IGNORECASE
            ), key


def test_every_locale_has_every_key_and_the_same_slots() -> None:
    english = words("en")
    for locale in LOCALES:
        other = words(locale)
        assert other.keys() == english.keys()
        for key in sorted(english.keys()):
            slots = [set(re.findall(r"\{(\w+)\}", one._words[key])) for one in (english, other)]
            assert slots[0] == slots[1], key
    assert words("de-AT").language == "de"
    assert words("xx").language == "en"


def test_every_stage_and_procedure_and_concept_has_words() -> None:
    keys = words("en").keys()
    assert {f"ruled.{stage}" for stage in Stage if stage is not Stage.SCORE} <= keys
    assert {f"headline.{one}" for one in Procedure if one is not Procedure.REDACTED} <= keys
    assert {f"concepts.{one.concept}" for one in concepts.rules()} | {"concepts.other", "concepts.unnamed"} <= keys


def test_an_explanation_reads_back_as_it_was_written() -> None:
    made = facts(withheld=("views_30d",))
    found = attribute(model(), np.array([one.value for one in made.features]), made.score, check=False)
    content = compose(made, found)
    words_, named = write(content)
    again = read(words_)
    assert write(again) == (words_, named)
    assert again.contributions == content.contributions
    assert again.facts.candidates == made.candidates


@pytest.mark.anyio
async def test_only_levers_that_flip_are_shown() -> None:
    source = Decisions()
    made = source.keep(facts())
    content = compose(made, attribute(model(), np.array([one.value for one in made.features]), made.score, check=False))
    assert await levers.find(made, content.concepts, source, 3) == ([], False)
    source.flips = {
        "marketing.email": Verdict(choice=NOTHING, channel=None, probability=1.0),
        "spending": Verdict(choice="plain@email", channel="email", probability=0.9),
    }
    found, _ = await levers.find(made, content.concepts, source, 3)
    assert [(one.kind, one.subject) for one in found] == [("without", "spending"), ("withdraw", "marketing.email")]
    assert view(made, found=tuple(found)).levers == (
        "If we left out “how much you spent with us”, you would get: another message.",
        "If you take back “offers by email”, you would get: nothing.",
    )
    assert [one.kind for one in view(made, found=tuple(found)).pulls] == ["stop_using", "opt_out"]
    # What rests on a contract cannot be taken back, so it is not offered.
    bound = replace(made, permission=PermissionFact(answer="granted", reason="basis", basis="contract"))
    assert [one.kind for one in (await levers.find(bound, content.concepts, source, 3))[0]] == ["without"]


def test_an_answer_never_says_that_scores_decided_where_chance_or_what_did_well_did() -> None:
    use = Use(placement="open", purposes=("marketing.email",), machine="marketing.personalize", controller="Blue Shop")
    say = words("en")
    for made, how in (
        (facts(), "machine"),
        (facts(policy=PolicyFacts(name="thompson", ranked_by="outcomes")), "outcomes"),
        (facts(policy=PolicyFacts(name="e", ranked_by="ranker", explored=True)), "chance"),
        (gated(Stage.HOLDOUT, holdout=True), "chance"),
        (gated(Stage.CONSENT), "rules"),
        (ruled_by_rules(), "rules"),
    ):
        told = answer(made, view(made), use)
        assert told.logic[:2] == (say(f"significant.logic_{how}"), view(made).headline)
