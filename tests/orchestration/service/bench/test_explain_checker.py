"""The second reader of explanations finds what is not true: planted false claims, one by one."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from orchestration.decision.catalogue import parse
from orchestration.decision.eligibility import Rejection, Stage
from orchestration.decision.engine import Judged, Outcome
from orchestration.decision.inputs import Arm, Inputs, Origin, Permit, Versions
from orchestration.decision.record import Record
from orchestration.service.bench.explain_checker import Case, unsupported, withheld_names

AT = datetime(2026, 3, 5, 12, tzinfo=UTC)
ARM = Arm(variant="offer", channel="email", purpose="marketing.email", order=0, epsilon=0.1)
CATALOGUE = parse(
    """
controller: Blue Shop
contents:
  - id: words
    variants:
      - {id: offer, label: Offer, channels: [email], subject: Ten percent, body: Ten percent off., is_advertisement: true}
placements:
  - {name: open, purpose: marketing.email, channels: [email], variants: [offer]}
"""
)


class Sums:
    """A model whose score is the sum of its columns."""

    digest = f"sha256:{'a' * 64}"
    feature_names = ("spend_180d", "orders_180d")

    def score(self, rows):
        return rows.sum(axis=1)

    def contributions(self, row):
        return 0.0, np.asarray(row)


def case(**more) -> Case:
    versions = Versions(graph=1, consent=1, profile=1, catalogue="", feature_set="", policy="", model=Sums.digest)
    seen = Origin(
        feature="spend_180d", trait="Order Completed", source="shop", observed_at="2026-03-02T12:00:00+00:00", purpose="marketing.personalize"
    )  # fmt: skip
    state = Inputs(
        at=AT.isoformat(), person="per_1", placement="open", personalize_under="marketing.personalize", arms=(ARM,),
        permits={ARM.permit: Permit(answer="granted", reason="basis.legitimate_interests")}, reach={"email": "idn_1"}, versions=versions,
        feature_names=Sums.feature_names, features=(2.0, 0.0), origins=(seen,),
    )  # fmt: skip
    judged = (
        Judged(ARM.id, ARM, None, 2.0, 2.0, 0.9),
        Judged("plain@email", ARM, Rejection(Stage.CAP, "cap"), None, None, 0.0),
        Judged("nothing", None, Rejection(Stage.SCORE, "lower"), 0.0, 0.0, 0.1),
    )
    made = Outcome(
        judged=judged, choice=ARM.id, propensity=0.9, ranked_by="ranker", policy="epsilon_greedy", fallback=None, explored=False, holdout=False
    )  # fmt: skip
    record = Record(decision_id="dec_1", seed="s", inputs=replace(state, **more), outcome=made)
    return Case(record=record, catalogue=CATALOGUE, model=Sums(), act=None)


TRUE = {
    "title": "Why you got this message", "lead": "We decided this on 5 March 2026.", "is_advertisement": True, "on_behalf_of": "Blue Shop",
    "paid_by": "Blue Shop", "permission": "", "headline": "We picked this for you by weighing what we know about you.",
    "main_parameters": [
        {"name": "how much you spent with us", "contribution": "This made our choice more likely.", "source": "From shop, 3 days old."}
    ],
    "rules": ["Other messages were left out because you had enough of them."], "levers": [],
}  # fmt: skip


def parameter(**more: str) -> dict:
    return {"main_parameters": [TRUE["main_parameters"][0] | more]}


def test_what_the_record_holds_is_let_be() -> None:
    assert unsupported(TRUE, case()) == []
    assert withheld_names(TRUE, case()) == []


@pytest.mark.parametrize(
    "false",
    [
        {"title": "Why you got nothing here"},
        {"lead": "We decided this on 4 March 2026."},
        {"is_advertisement": False},
        {"paid_by": "Red Shop"},
        {"permission": "You agreed to “offers by email” on 3 March 2026."},
        {"headline": "You are in a comparison group."},
        {"headline": "We were trying something new."},
        {"headline": "We sent nothing, because you had enough messages from us."},
        {"headline": "We like you."},
        {"rules": ["Other messages were left out because the contact is on our do-not-send list."]},
        {"rules": ["This is for a group that you are in, because of what we know about you."]},
        parameter(name="what you bought from us"),
        parameter(contribution="This made our choice less likely."),
        parameter(contribution="This counted together with other things."),
        parameter(contribution="This made our choice likely."),
        parameter(source="From shop, 4 days old."),
        parameter(source="From crm, 3 days old."),
        parameter(consent="You agreed to that on 3 March 2026, in a form."),
        {"main_parameters": TRUE["main_parameters"] * 6},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_planted_false_claim_is_found(false: dict) -> None:
    assert len(unsupported({**TRUE, **false}, case())) >= 1


def test_the_name_of_what_was_withheld_is_found_wherever_it_stands() -> None:
    lever = {"levers": ["If we left out “your visits to our pages”, you would get: nothing."]}
    assert withheld_names({**TRUE, **lever}, case()) == ["your visits to our pages"]
    assert withheld_names(TRUE, case(origins=())) == ["how much you spent with us"]
