"""What strings mean to the gate: only set bits grant, and everything odd is a no."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consent.acts import Status
from consent.purposes import SALE_SHARE
from consent.signals import gpp, meaning, sections, table, tcf
from consent.signals.errors import Undecodable
from consent.signals.meaning import Finding
from orchestration.service.bench import consent_strings as strings
from orchestration.service.bench.consent_strings import tc
from tests.consent.signals.test_decode import mutated
from tests.support.shared import shared_path

NOW = datetime(2026, 11, 21, tzinfo=UTC)
LATELY = NOW - timedelta(days=10)
TABLE = table.load()
ALL = range(1, 12)


def of_tcf(text: str, **more) -> meaning.Heard:
    return meaning.of_tcf(text, TABLE, NOW, **more)


def us(name: str, text: str) -> list[tuple[str, str]]:
    said = meaning.of_gpp(strings.gpp(sections.by_name()[name].id, text), TABLE, NOW)
    return [(word.mechanism, word.status) for heard in said for word in heard.words if word.purpose == SALE_SHARE]


def test_a_publishers_own_bits_grant_and_carry_their_notice_and_their_end() -> None:
    said = of_tcf(tc(LATELY, publisher=[1, 8, 9, 2]))
    assert said.granted == {"analytics", "marketing.web"}
    assert said.of("marketing.personalize") is Status.DENIED
    assert said.of("marketing.email") is None
    assert said.given_at == LATELY
    assert said.expires_at == LATELY + timedelta(days=395)
    assert said.notice is not None
    assert said.notice.version == "tcf-5-gvl48-cmp31.7.1"
    assert said.notice.listed == said.granted
    assert said.jurisdiction == "gdpr"
    assert of_tcf(tc(LATELY, publisher=ALL), place="uk").jurisdiction == "uk"


def test_what_vendors_may_is_not_what_the_publisher_may_and_the_reverse() -> None:
    vendors_only = tc(LATELY, purposes=ALL, vendors=[7], disclosed=[7])
    assert of_tcf(vendors_only).granted == frozenset()
    assert of_tcf(vendors_only, vendor=7).granted == {"analytics", "marketing.web", "marketing.personalize"}
    assert of_tcf(tc(LATELY, publisher=ALL), vendor=7).granted == frozenset()


REFUSED = {
    "a vendor without consent": {"vendors": [8]},
    "a vendor that was not disclosed": {"disclosed": [8]},
    "no vendors disclosed since 2.3": {"disclosed": None},
    "an older policy since 2.3": {"policy": 4},
    "a policy nobody knows": {"policy": 6},
    "no consent manager": {"cmp_id": 0},
    "global scope": {"service_specific": False},
    "legitimate interest in purpose 1": {"interests": [1]},
    "legitimate interest in a purpose that policy 4 closed to it": {"interests": [3]},
    "dates the wrong way round": {"created": LATELY, "updated": LATELY - timedelta(days=1)},
    "from the future": {"created": NOW + timedelta(hours=1)},
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_string_that_breaks_a_rule_permits_nothing(name: str) -> None:
    whole = {"created": LATELY, "purposes": ALL, "vendors": [7], "disclosed": [7]}
    assert of_tcf(tc(**whole), vendor=7).granted  # type: ignore[arg-type]
    said = of_tcf(tc(**(whole | REFUSED[name])), vendor=7)  # type: ignore[arg-type]
    assert said.granted == frozenset()
    assert said.of("analytics") in {Status.DENIED, Status.UNREADABLE}


@pytest.mark.parametrize(("kind", "open_"), [(0, False), (1, True), (2, False), (3, False)])
def test_publisher_restrictions_bind_the_vendors_they_name(kind: int, open_: bool) -> None:
    said = of_tcf(tc(LATELY, purposes=ALL, vendors=[7], disclosed=[7], restrictions=[(8, kind, [7])]), vendor=7)
    assert ("analytics" in said.granted) is open_
    others = of_tcf(tc(LATELY, purposes=ALL, vendors=[7], disclosed=[7], restrictions=[(8, kind, [9])]), vendor=7)
    assert "analytics" in others.granted


def test_before_2_3_a_string_needs_no_disclosed_vendors() -> None:
    old = datetime(2026, 2, 28, tzinfo=UTC)
    assert of_tcf(tc(old, policy=4, disclosed=None, publisher=ALL)).granted
    assert of_tcf(tc(old + timedelta(days=1), policy=4, disclosed=None, publisher=ALL)).why == Finding.DISCLOSED_VENDORS


def test_version_1_decodes_and_permits_nothing() -> None:
    text = "BOOzQoAOOzQoAAPAFSENCW-AIBACCACgACADIAHg"
    assert tcf.decode(text).purposes == (1, 2, 3, 4, 5, 15, 24)
    said = of_tcf(text)
    assert said.why == Finding.VERSION
    assert {word.status for word in said.words} == {Status.DENIED}


def test_what_cannot_be_read_is_a_no_to_everything_it_could_be_about() -> None:
    said = of_tcf("COtybn4PA_zT4KjACBENAPC")
    assert said.why == "truncated"
    assert {word.purpose: word.status for word in said.words} == dict.fromkeys(TABLE.tcf.purposes, Status.UNREADABLE)
    (heard,) = meaning.of_gpp("DBABTA~1YN", TABLE, NOW)
    assert heard.of(SALE_SHARE) is Status.UNREADABLE
    assert heard.of("marketing.web") is Status.UNREADABLE


US = {
    "nothing opted out, no signal": ("usnat", "BAAAAAAAAQA.QA", []),
    "a sale opted out": ("uspv1", "1YYN", [("gpp", "denied")]),
    "a sale not opted out": ("uspv1", "1YNN", []),
    "does not apply": ("uspv1", "1---", []),
    "a US Privacy version nobody knows": ("uspv1", "2YNY", [("gpp", "unreadable")]),
    "the signal in its sub-section": ("usnat", "CAAAAAAAAABA.YA", [("gpc", "denied")]),
    "the signal and opt-outs": ("usnat", "CVVVkkkkkpFY.YA", [("gpc", "denied"), ("gpp", "denied")]),
    "no sub-section is unknown, not no": ("usnat", "CAAAAAAAAABA", [("gpp", "denied")]),
    "a value of three": ("usct", "BbYbG22w.QA", [("gpp", "unreadable")]),
    "version 1 with the body of version 2": ("usnat", "BVVVkkkkkpFY.YA", [("gpp", "unreadable")]),
    "version 2 cut to the body of version 1": ("usnat", "CVVVkkkkkp.QA", [("gpp", "unreadable")]),
    "another version": ("usca", "CAAAAABA.QA", [("gpp", "unreadable")]),
    "opted out under an agreement of its own version": ("usin", "BVVV.kkk", [("gpp", "denied")]),
    "nothing said and no sub-section for it": ("usin", "BQAA", []),
}  # fmt: skip


@pytest.mark.parametrize("name", US)
def test_us_sections_only_ever_deny(name: str) -> None:
    section, text, expected = US[name]
    assert sorted(us(section, text)) == sorted(expected)


def test_the_european_section_of_a_gpp_string_is_read_as_a_tc_string() -> None:
    (said,) = meaning.of_gpp("DBABMA~" + tc(LATELY, publisher=[1, 2]), TABLE, NOW)
    assert said.granted == {"marketing.web"}


def test_no_shared_gpp_case_grants_more_than_its_publisher_bits_say() -> None:
    for case in json.loads(shared_path("cases/gpp.json").read_text())["valid"]:
        granted = {p for heard in meaning.of_gpp(case["string"], TABLE, NOW) for p in heard.granted}
        bits = case["sections"].get("tcfeuv2", {}).get("PublisherConsents", [])
        assert all(bits[number - 1] for purpose in granted for number in TABLE.tcf.purposes[purpose])


WHOLE = tc(LATELY, purposes=ALL, vendors=[7], disclosed=[7], publisher=ALL)


@settings(max_examples=500)
@given(mutated([WHOLE, tc(LATELY, publisher=[1, 2], purposes=[1, 3], disclosed=[3])]), st.sampled_from([None, 7]))
def test_a_changed_string_grants_no_purpose_whose_bits_are_not_set(text: str, vendor: int | None) -> None:
    said = of_tcf(text, vendor=vendor)
    try:
        read = tcf.decode(text)
    except Undecodable:
        assert not said.granted
        assert {word.status for word in said.words} == {Status.UNREADABLE}
        return
    own = read.publisher.consents if read.publisher and vendor is None else read.purposes
    for purpose in said.granted:
        assert set(TABLE.tcf.purposes[purpose]) <= set(own)


@settings(max_examples=300)
@given(st.integers(0, len(WHOLE) - 1))
def test_a_string_that_is_cut_permits_nothing(at: int) -> None:
    """Even where the cut falls between two segments: what is left lacks the publisher's."""
    if not set(WHOLE[at:]) - {"A"}:
        return  # nothing but padding is gone
    assert not of_tcf(WHOLE[:at]).granted


@settings(max_examples=300)
@given(mutated(["DBACNYA~" + WHOLE + "~1YYN", "DBABLA~CVVVkkkkkpFY.YA"]))
def test_a_changed_gpp_string_that_cannot_be_read_is_a_no(text: str) -> None:
    said = meaning.of_gpp(text, TABLE, NOW)
    try:
        gpp.decode(text)
    except Undecodable:
        assert [heard.of(SALE_SHARE) for heard in said] == [Status.UNREADABLE]
        assert not any(heard.granted for heard in said)
