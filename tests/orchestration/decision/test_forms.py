"""The bytes of a record, written once and put together, are those that the reference writer makes of the whole."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.canonical import canonical, digest
from orchestration.decision import evidence
from orchestration.decision.engine import decide
from orchestration.decision.inputs import HoldoutDraw, from_json
from orchestration.decision.origin import Origin
from orchestration.decision.record import Record
from tests.orchestration.decision.support import arm, inputs

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(-1e9, 1e9) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
origin = st.builds(
    Origin, feature=text, trait=text, source=text, observed_at=text, purpose=text, record_id=st.none() | text
)


@settings(max_examples=200, deadline=None)
@given(
    context=st.dictionaries(text, jsons, max_size=3), tags=st.lists(text, max_size=2), cost=st.floats(0, 9),
    features=st.lists(st.floats(), min_size=2, max_size=2), origins=st.lists(origin, max_size=2), seed=text,
    refused=st.sampled_from([{}, {"a@email": "cap:all"}]), held=st.none() | st.booleans(), trigger=st.none() | text,
)  # fmt: skip
def test_the_parts_make_the_same_bytes(context, tags, cost, features, origins, seed, refused, held, trigger):
    state = inputs(
        [arm(tags=tuple(tags), cost=cost, category="ü"), arm("b", "web", 1, stock=0)],
        context=context, feature_names=("x", "y"), features=tuple(features), origins=tuple(origins), refused=refused,
        holdout=None if held is None else HoldoutDraw(name="h", share=0.5, member=held), trigger=trigger,
    )  # fmt: skip
    record = Record(decision_id="dec_1", seed=seed, inputs=state, outcome=decide(state, seed))
    assert state.canonical == canonical(state.to_json())
    assert state.digest == digest(state.to_json())
    assert record.canonical() == canonical(record.to_json())
    assert record.digest == digest(record.to_json())
    assert record.envelope() == canonical({"record": record.to_json(), "inputs": state.to_json()})
    facts = evidence.entry(record, key_id=None, actor="system").facts
    assert {name: facts[name] for name in evidence.evidence(record)} == {
        name: digest(piece) for name, piece in evidence.evidence(record).items()
    }
    assert from_json(json.loads(record.envelope())["inputs"]).canonical == state.canonical
