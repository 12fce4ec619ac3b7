"""What sources list, and what they bring forward for one person: pure rules. decision.D46, D47, D10."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestration.decision.assortment import assemble
from orchestration.decision.catalogue import parse
from orchestration.decision.eligibility import Stage, judge, misfit
from orchestration.decision.engine import decide
from orchestration.decision.feed import read_row
from orchestration.decision.inputs import from_json
from orchestration.decision.item_store import Bundle, FeedRow
from orchestration.decision.items import Item
from orchestration.decision.market import Market
from orchestration.decision.sections import languages, title
from orchestration.decision.sources import Place, picks, tastes
from orchestration.decision.tallies import Tally, bundles, lists
from profiles.interests import Deed, Interest
from tests.orchestration.decision.support import arm, inputs

AT = datetime(2026, 3, 5, tzinfo=UTC)
CATALOGUE = parse("""
contents:
  - id: cards
    variants:
      - {id: card, label: Card, channels: [web], body: "{{ title }}", slots: {title: {item: title}}}
  - {id: fixed, category: hats, variants: [{id: hat_ad, label: Hat, channels: [web], body: Hats}]}
placements:
  - name: home
    purpose: marketing.web
    channels: [web]
    variants: [hat_ad]
    sources:
      - {source: category, template: card, limit: 4}
      - {source: similar, template: card, limit: 4}
      - {source: bundles, template: card, limit: 2}
      - {source: popular, template: card, limit: 3}
      - {source: trending, template: card, limit: 3}
regions: {by: Bavaria}
categories: {shoes: shoes}
""")
HOME = CATALOGUE.placement("home")


def item(name, category="shoes", price=10, **more):
    return Item(item_id=name, title=name.title(), category=category, price=Decimal(price), currency="EUR", **more)


def did(name, kind="viewed", days=0.0, category="shoes", basket=None):
    weight = {"viewed": 1.0, "added": 3.0, "bought": 5.0, "liked": 10.0, "disliked": -10.0}[kind]
    return Deed(kind, weight, AT - timedelta(days=days), name, category, None, basket)


def counted(*people):
    tally = Tally()
    for region, deeds in people:
        tally.add(region, deeds, [(deed, deed.weight) for deed in deeds])
    return tally


ITEMS = {
    one.item_id: one
    for one in (item("s1"), item("s2", price=11), item("s3", price=40), item("h1", "hats"), item("h2", "hats", stock=0))
}


def test_popular_counts_people_by_region_and_nobody_twice():
    often = ("by", [did("s1", days=n) for n in range(50)])
    tally = counted(often, ("by", [did("s2")]), ("be", [did("s2")]), ("be", [did("h2")]))
    made = lists(tally, ITEMS, {}, length=10, least_people=1)
    assert made["popular", ""] == [("s2", 2.0), ("s1", 1.0)]
    assert made["popular", "be"] == [("s2", 1.0)]
    assert "h2" not in {name for ranked in made.values() for name, _ in ranked if ranked is made.get(("popular", ""))}


def test_what_too_few_people_did_is_in_no_list_that_tells_of_people():
    tally = counted(("by", [did("s1")]), ("by", [did("s1"), did("s2")]))
    made = lists(tally, ITEMS, {}, length=10, least_people=2)
    assert made["popular", "by"] == [("s1", 2.0)]
    assert [name for name, _ in made["trending", ""]] == ["s1"]
    assert (
        bundles(
            counted(("by", [did("s1", "bought", basket="o"), did("s2", "bought", basket="o")])),
            ITEMS,
            most=5,
            least_people=2,
        )
        == []
    )


def test_a_category_is_filled_up_by_ratings_behind_what_people_engaged_with():
    made = lists(
        counted((None, [did("s3")])), ITEMS, {"shoes": ["s1", "s3", "s2"], "hats": ["h1"]}, length=10, least_people=1
    )
    assert [name for name, _ in made["category", "shoes"]] == ["s3", "s1", "s2"]
    assert [name for name, _ in made["category", "hats"]] == ["h1"]


def test_similar_items_are_of_the_category_looked_at_together_first_then_by_price():
    tally = counted((None, [did("s1"), did("s3"), did("h1", category="hats")]), (None, [did("s1"), did("s3")]))
    made = lists(tally, ITEMS, {"shoes": ["s1", "s2", "s3"]}, length=10, least_people=1)
    assert [name for name, _ in made["similar", "s1"]] == ["s3", "s2"]


def test_bundles_are_what_was_bought_in_one_order():
    one = [did("s1", "bought", basket="o1"), did("h1", "bought", basket="o1")]
    two = [did("s1", "bought", basket="o2"), did("h1", "bought", basket="o2"), did("s2", "bought", basket="o3", days=2)]
    found = bundles(
        counted((None, one), (None, two), (None, [did("s1", "bought", basket="o4")])), ITEMS, most=5, least_people=2
    )
    assert {(b.primary_id, b.items, round(b.score, 3), b.discount) for b in found} == {
        ("s1", ("h1",), 0.667, 0.0), ("h1", ("s1",), 1.0, 0.0),
    }  # fmt: skip


def assortment(**more):
    names = {("category", "C:shoes"): "shoes", ("category", "C:hats"): "hats", ("item", "I:s1"): "s1", ("content", "K:card~s2"): "card~s2",
             ("content", "K:hat_ad"): "hat_ad"}  # fmt: skip
    made = {
        ("popular", ""): ["s3"], ("popular", "by"): ["s2", "h1"], ("trending", ""): ["h1"],
        ("category", "shoes"): ["s1", "s2"], ("category", "hats"): ["h2", "h1"], ("similar", "s1"): ["s3"],
    }  # fmt: skip
    pairs = [Bundle(bundle_id="b1", primary_id="s1", items=("h1",), discount=0.1, score=1.0, declared=True)]
    return assemble(1, {**ITEMS, **more}, made, pairs, frozenset(), names)


def brought(interests=(), place=Place(), most=50, offered=None):
    offered = offered or assortment()
    hers = tastes(interests, offered, CATALOGUE)
    return [
        (one.item.item_id, one.section, one.personal)
        for one in picks(HOME.sources, offered, CATALOGUE, hers, place, most=most)
    ]


def test_a_stranger_gets_what_suits_everybody():
    assert brought() == [("s3", "Popular now", False), ("h1", "Trending now", False)]


def test_a_title_says_only_what_she_did_and_where_the_figures_are_from():
    hers = [
        Interest("item", "I:s1", 3.0, "added"),
        Interest("category", "C:shoes", 3.0, "added"),
        Interest("category", "unheard", 9.0, "viewed"),
    ]
    assert brought(hers, Place("by")) == [
        ("s1", "Because you put shoes in your cart", True),
        ("s2", "Because you put shoes in your cart", True),
        ("s3", "Like S1, which you put in your cart", True),
        ("b1", "Goes with S1", True),
        ("h1", "Popular in Bavaria", True),
    ]


def test_a_thumb_on_a_content_moves_its_item_and_category():
    up = tastes([Interest("content", "K:card~s2", 10.0, "liked")], assortment(), CATALOGUE)
    assert up.of("shoes", "s2", None) == 20.0
    down = tastes(
        [Interest("content", "K:hat_ad", -10.0, "disliked"), Interest("category", "C:hats", 3.0, "viewed")],
        assortment(),
        CATALOGUE,
    )
    assert down.of("hats", None, "hat_ad") == -17.0
    assert down.categories == ()


def test_somebody_unknown_goes_down_the_ladder_and_nothing_comes_twice():
    """decision.D36: region, what the page is about, everywhere."""
    rule = [one for one in HOME.sources if one.source == "popular"]
    told = [
        [(pick.item.item_id, pick.section) for pick in picks(rule, assortment(), CATALOGUE, tastes((), assortment(), CATALOGUE), place, most=9)]
        for place in (Place("by"), Place("by", category="shoes"), Place("xx", category="unheard"), Place(category="hats"))
    ]  # fmt: skip
    assert told[0] == [("s2", "Popular in Bavaria"), ("h1", "Popular in Bavaria"), ("s3", "Popular now")]
    assert [name for name, _ in told[1]] == ["s2", "h1", "s1"]
    assert told[2] == [("s3", "Popular now")]
    assert [name for name, _ in told[3]] == ["h2", "h1", "s3"]


def test_a_rating_is_believed_as_far_as_people_vouch_for_it_and_a_new_shop_has_a_list():
    rated = {
        **ITEMS,
        "s1": item("s1", rating=5.0),
        "s2": item("s2", price=11, rating=3.0),
        "h1": item("h1", "hats", rating=4.0),
    }
    few = counted((None, [did("s1"), did("s2")]))
    many = counted(*[(None, [did("s1"), did("s2")])] * 30)
    ratio = [dict(lists(one, rated, {}, length=9, least_people=1)["popular", ""]) for one in (few, many)]
    assert ratio[0]["s1"] / ratio[0]["s2"] < ratio[1]["s1"] / ratio[1]["s2"] < 5 / 3
    opened = lists(Tally(), rated, {"shoes": ["s1", "s2"], "hats": ["h1", "h2"]}, length=9, least_people=3)
    assert [name for name, _ in opened["popular", ""]] == ["s1", "h1", "s2"]
    assert lists(Tally(), {}, {}, length=9, least_people=3) == {}


def test_what_cannot_be_sold_comes_forward_only_to_be_refused_and_uses_up_no_limit():
    hers = [Interest("category", "C:hats", 3.0, "viewed")]
    assert [name for name, *_ in brought(hers)][:2] == ["h2", "h1"]
    assert len(brought(hers, most=1)) == 1


def test_every_language_has_every_title_and_every_title_its_words():
    spoken = languages()
    assert all(keys == spoken["en"] for keys in spoken.values())
    assert title("popular_in", "de-AT", region="Bayern") == "Beliebt in Bayern"
    assert title("popular", "xx") == "Popular now"
    for language in spoken:
        for key in spoken["en"]:
            assert "{" not in title(key, language, region="r", category="c", item="i")


OPEN = Market(region="by", locale="de-DE", content_ratings=("all", "12"), currency="EUR", min_price="5", max_price="50")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"stock": 0}, "out_of_stock"),
        ({"published": False}, "not_published"),
        ({"regions": ("be",)}, "wrong_region"),
        ({"locale": "fr"}, "wrong_locale"),
        ({"locale": "de_AT"}, None),
        ({"content_rating": "18"}, "content_rating"),
        ({"content_rating": None}, "not_rated"),
        ({"price": "4.99"}, "price_out_of_bounds"),
        ({"price": "50.01"}, "price_out_of_bounds"),
        ({"price": None}, "no_price"),
        ({"currency": "USD"}, "other_currency"),
    ],
)
def test_an_item_that_does_not_fit_is_lost_at_publication_with_one_reason(change, reason):
    """decision.D10."""
    good = arm(
        "card~s1~r",
        "web",
        item="s1",
        family="card",
        regions=("by",),
        locale="de",
        content_rating="all",
        price="20",
        currency="EUR",
    )
    state = inputs([replace(good, **change)], market=OPEN)
    lost = judge(state, state.arms[0])
    assert (lost and (lost.stage, lost.reason)) == (reason and (Stage.PUBLICATION, reason))
    made = decide(state, "s")
    assert sum(one.rejection is not None for one in made.judged if one.arm is not None and reason) == (
        1 if reason else 0
    )
    again = from_json(state.to_json())
    assert (again.arms, again.market) == (state.arms, state.market)
    assert again.digest == state.digest


def test_what_is_sold_somewhere_is_not_for_who_may_be_anywhere():
    sold = arm("card~s1~r", "web", item="s1", regions=("by",))
    assert misfit(Market(), sold) == "region_unknown"
    assert misfit(Market(), arm("a", "web", locale="fr")) is None


def test_a_record_of_before_there_were_items_has_the_form_it_had():
    form = inputs([arm("a")]).to_json()
    assert set(form["arms"][0]) == {
        "variant", "channel", "purpose", "order", "epsilon", "value", "cost", "personal", "published", "stock", "category", "tags",
    }  # fmt: skip
    assert not {"market", "declined"} & set(form)
    assert "items" not in form["versions"]


words = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.integers(-5, 5000),
    st.floats(allow_nan=True),
    st.booleans(),
    st.lists(st.text(max_size=5), max_size=3),
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["item_id", "title", "price", "currency", "rating", "category", "region", "stock", "url", "locale"]
        ),
        words,
    )
)
@settings(max_examples=300)
def test_any_row_of_a_feed_is_read_or_refused_without_repeating_its_words(said):
    found = read_row(said)
    if isinstance(found, FeedRow):
        assert found.stock is None or found.stock >= -1
        assert found.price is None or (found.price >= 0 and found.currency)
    else:
        assert found.column in said or found.column in {"item_id", "currency"}
        assert found.reason.startswith("expected ")


@pytest.mark.parametrize(
    ("said", "column"),
    [
        ({"item_id": "a b"}, "item_id"), ({"title": "x"}, "item_id"), ({"item_id": "a", "price": "9"}, "currency"),
        ({"item_id": "a", "price": "9,50", "currency": "EUR"}, "price"), ({"item_id": "a", "stock": "-2"}, "stock"),
        ({"item_id": "a", "stock": 1.5}, "stock"), ({"item_id": "a", "title": "{{ first_name }}"}, "title"),
        ({"item_id": "a", "url": "javascript:alert(1)"}, "url"), ({"item_id": "a", "url": "https://[x"}, "url"),
        ({"item_id": "a", "currency": "eur"}, "currency"), ({"item_id": "a", "region": "|"}, "region"),
        ({"item_id": "a", "rating": "NaN"}, "rating"), ({"item_id": True}, "item_id"),
    ],
)  # fmt: skip
def test_a_cell_that_cannot_be_used_is_named(said, column):
    assert read_row(said).column == column


def test_a_row_says_only_what_it_says():
    assert read_row({"item_id": 7, "stock": "*", "region": "*"}) == FeedRow(item_id="7", stock=-1, regions=())
    assert read_row({"item_id": "7", "region": "by|be|by"}).regions == ("by", "be")
    assert read_row({"item_id": "7", "region": ["by"], "title": ""}).title is None
