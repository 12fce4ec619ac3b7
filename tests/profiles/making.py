"""Raw profiles, states and events made by hand or by hypothesis, for the pure rules."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from consent import precedence, purposes
from consent.acts import ActView
from consent.gate import ConsentState
from consent.precedence import Rules
from events.log import Event
from profiles import survivorship
from profiles.raw import RawProfile, RawRecord

AT = datetime(2026, 3, 1, tzinfo=UTC)
RULES = Rules(purposes.load(), precedence.load(), "gdpr")
SURVIVE = survivorship.load()
PURPOSES = sorted(RULES.purposes.by_key)


def state(*acts: tuple[str, str], person="per_1") -> ConsentState:
    views = tuple(
        ActView(
            id=f"act_{n}", subject="idn_1", purpose=purpose, channel=None, status=status, basis="consent",
            jurisdiction="gdpr", mechanism="form", given_at=AT - timedelta(days=50),
        )
        for n, (purpose, status) in enumerate(acts)
    )  # fmt: skip
    return ConsentState(person=person, version=1, acts=views, rules=RULES)


def event(name, days_ago, *, n=0, purpose="marketing.personalize", machine=False, late=0.0, **properties) -> Event:
    at = AT - timedelta(days=days_ago)
    return Event(
        event_id=f"evt_{n:05}", record_id="rec_1", type="track", name=name, event_time=at,
        known_time=at + timedelta(days=late), received_at=at, source="web", purpose=purpose, basis="consent",
        properties=properties, traits={}, context={}, machine=machine, confidence=1.0,
    )  # fmt: skip


def record(
    n, traits, *, purposes=("marketing.personalize",), source="shop", days_ago=10.0, row=None, version=1
) -> RawRecord:
    seen = AT - timedelta(days=days_ago)
    return RawRecord(
        id=f"rec_{n}", row=row or (source, str(n)), version=version, source=source, observed_at=seen,
        recorded_at=seen, purposes=frozenset(purposes), traits=traits,
    )  # fmt: skip


def raw(records=(), events=(), sure=1.0) -> RawProfile:
    return RawProfile("per_1", tuple(records), tuple(events), sure, 0, SURVIVE)


words = st.sampled_from(["books", "Garden ", "sport", "nan", "inf", "-1e999", "12.5", "yes", "no", "", "x"])
values = words | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()
properties = values | st.none() | st.floats() | st.lists(st.integers(), max_size=1)

records = st.lists(
    st.builds(
        record,
        st.integers(0, 50),
        st.dictionaries(st.sampled_from(["age", "member", "interest", "city"]), values),
        purposes=st.lists(st.sampled_from(PURPOSES), min_size=1, max_size=2),
        source=st.sampled_from(["shop", "crm"]),
        days_ago=st.floats(-5, 100),
    ),
    max_size=5,
    unique_by=lambda r: r.id,
)
events = st.lists(
    st.builds(
        event,
        st.sampled_from(["Order Completed", "Product Viewed", "Email Opened"]),
        st.floats(-5, 400),
        n=st.integers(0, 9999),
        purpose=st.sampled_from(["marketing.personalize", "analytics", "marketing", "service"]),
        machine=st.booleans(),
        late=st.floats(0, 10),
        revenue=properties,
    ),
    max_size=12,
    unique_by=lambda e: e.event_id,
)
profiles = st.builds(raw, records, events, st.floats(0, 1))
acts = st.lists(st.tuples(st.sampled_from(PURPOSES), st.sampled_from(["granted", "denied"])), max_size=6)
states = acts.map(lambda held: state(*held))
