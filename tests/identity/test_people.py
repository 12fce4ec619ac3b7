"""The rule by which a record joins: never two values of an exclusive identifier in one person (identity.I11)."""

from hypothesis import given, settings
from hypothesis import strategies as st

from identity.people import Carried, Holders, decide
from identity.settings import IdentitySettings

SETTINGS = IdentitySettings()
KINDS = ("login_id", "national_id", "customer_id", "email", "anonymous_id", "phone", "device_id")

carried = st.builds(
    lambda kind, value, source, row: (f"{kind}:{value}", kind, source, row),
    st.sampled_from(KINDS),
    st.integers(0, 3),
    st.sampled_from(["shop", "crm"]),
    st.just(b""),
)
rows = st.lists(st.tuples(st.sampled_from(["shop", "crm"]), st.lists(carried, max_size=4)), max_size=25)


def one_of_each(kinds):
    """A source's row names one value of each kind."""
    return list({kind: (i, kind) for i, kind, _, _ in kinds}.values())


@settings(max_examples=400)
@given(rows)
def test_whatever_the_order_no_person_has_two_logins(batch):
    holders = Holders()
    people: dict[str, list[tuple[str, str, str]]] = {}
    for number, (source, kinds) in enumerate(batch):
        items = [Carried(i, kind, source, b"%d" % number) for i, kind in one_of_each(kinds)]
        found, _ = holders.choose(items, None, SETTINGS)
        person = found or f"per_{number:03}"
        holders.learn(person, items, SETTINGS)
        people.setdefault(person, []).extend((i.kind, i.source, i.id) for i in items)
    for held in people.values():
        for kind in SETTINGS.exclusive_kinds:
            assert len({i for k, _, i in held if k == kind}) <= 1
        for source in ("shop", "crm"):
            assert len({i for k, s, i in held if k == "customer_id" and s == source}) <= 1


def test_the_new_version_of_a_row_may_change_its_own_login():
    holders = Holders()
    holders.learn("per_1", [Carried("login_id:a", "login_id", "shop", b"row")], SETTINGS)
    assert holders.choose([Carried("login_id:b", "login_id", "shop", b"row")], "per_1", SETTINGS) == ("per_1", False)
    assert holders.choose([Carried("login_id:b", "login_id", "shop", b"other")], "per_1", SETTINGS) == (None, False)


def test_customer_ids_of_two_sources_may_be_one_person():
    holders = Holders()
    email = Carried("email:e", "email", "shop", b"1")
    holders.learn("per_1", [email, Carried("customer_id:s1", "customer_id", "shop", b"1")], SETTINGS)
    crm = [Carried("email:e", "email", "crm", b"2"), Carried("customer_id:c9", "customer_id", "crm", b"2")]
    shop = [Carried("email:e", "email", "shop", b"3"), Carried("customer_id:s2", "customer_id", "shop", b"3")]
    assert holders.choose(crm, None, SETTINGS) == ("per_1", True)
    assert holders.choose(shop, None, SETTINGS) == (None, False)


def test_resolution_takes_the_strongest_kind_that_names_one_person():
    found = decide(
        {
            "email": {"per_1": "rec_1", "per_2": "rec_2"},
            "device_id": {"per_2": "rec_3"},
            "group_id": {"per_0": "rec_0"},
        },
        SETTINGS,
    )
    assert (found.person, found.record) == ("per_2", "rec_3")
    assert found.candidates == ("per_2", "per_0", "per_1")
    assert decide({"group_id": {"per_0": "rec_0"}}, SETTINGS).person is None
    assert decide({"email": {"per_1": "a", "per_2": "b"}}, SETTINGS).person is None


def test_a_login_that_a_person_may_not_have_beside_hers_outranks_the_mailbox_that_would_bring_it_to_her():
    # The worked example of "Identity Resolution Onboarding", Priority (Segment Unify): user_id abc456 arrives with the mailbox of abc123.
    holders = Holders()
    jane = [
        Carried("login_id:abc123", "login_id", "app", b"1"),
        Carried("email:jane@example1.com", "email", "app", b"1"),
    ]
    holders.learn("per_1", jane, SETTINGS)
    event = [Carried("login_id:abc456", "login_id", "app", b"2"), jane[1]]
    assert holders.choose(event, None, SETTINGS) == (
        None,
        False,
    )  # the mailbox is demoted, nobody has the login: somebody new
    holders.learn("per_2", event, SETTINGS)
    assert holders.choose([Carried("login_id:abc456", "login_id", "web", b"3")], None, SETTINGS) == ("per_2", False)
    assert holders.choose([jane[1]], None, SETTINGS) == (None, False)  # now two people's: it brings nobody to either
