"""Tables of permissions shared among people whose acts say the same are those of the gate, to the letter."""

from hypothesis import given, settings
from hypothesis import strategies as st

from consent.gate import table
from consent.tables import Tables
from tests.consent.test_gate import ADA, BEN, KEYS, act, day, state

acts = st.lists(
    st.builds(
        act,
        st.sampled_from([*KEYS, "*", "sale_share"]),
        st.sampled_from(["granted", "denied", "unreadable"]),
        on=st.sampled_from([0.0, 1.0, 2.0, 12.0]),
        channel=st.sampled_from([None, "email", "web"]),
        subject=st.sampled_from([ADA, BEN]),
        mechanism=st.sampled_from(["preference_page", "import", "gpc", "directive_override", "form"]),
        jurisdiction=st.sampled_from(["default", "gdpr", "us-ca"]),
        expires_at=st.sampled_from([None, day(5), day(30)]),
        verified=st.booleans(),
        has_notice=st.booleans(),
        loose=st.booleans(),
    ),
    max_size=4,
)
SHARED = Tables()


@settings(max_examples=400)
@given(acts, st.sampled_from([0.0, 1.0, 4.0, 10.0, 40.0]), st.booleans(), st.sampled_from([None, day(3)]), st.randoms())
def test_a_shared_table_is_the_gates(said, at, known, erased, rng):
    held = state(*rng.sample(said, len(said)), known=known, erased_at=erased)
    assert SHARED.of(held, day(at)) == table(held, day(at))


def test_two_people_who_said_the_same_share_the_answers_and_not_the_acts():
    tables = Tables()
    ada, ben = (state(act("marketing.email", on=place)) for place in (1.0, 3.0))
    one, two = tables.of(ada, day(9)), tables.of(ben, day(9))
    assert len(tables._known) == 1
    assert one["marketing.email|email"].act == ada.acts[0].id != two["marketing.email|email"].act == ben.acts[0].id
