"""Variants with slots: options make arms, items fill templates, and what cannot be said is told where the file is read. decision.D47."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.decision.candidates import declared
from orchestration.decision.catalogue import parse
from orchestration.decision.errors import CatalogueInvalid
from orchestration.decision.items import Item, bundle, slot_texts, variant_id, worded
from orchestration.decision.settings import DecisionSettings
from orchestration.decision.variants import item_variant, name_parts

GOOD = """
controller: Blue Shop
contents:
  - id: hero
    category: season
    variants:
      - id: hero
        label: Hero
        channels: [web, email]
        subject: "{{ headline }}"
        body: "{{ headline }}, {{ first_name }}"
        image: "https://shop.example/{{ picture }}.jpg"
        action: {label: "{{ button }}", url: "https://shop.example/"}
        slots:
          first_name: {trait: first_name, fallback: you}
          headline: {options: [New, Warm, Soft, Last chance, Back]}
          picture: {options: {red: red, blue: blue, green: green}}
          button: {options: {look: Look, buy: Buy}}
      - {id: plain, label: Plain, channels: [web], body: Hello}
  - id: cards
    variants:
      - id: card
        label: Card
        channels: [web, email]
        subject: "{{ title }}"
        body: "{{ title }} for {{ price }}, {{ first_name }}"
        action: {label: Look, url: "{{ link }}"}
        slots:
          title: {item: title}
          price: {item: price}
          link: {item: url}
          first_name: {trait: first_name, fallback: you}
placements:
  - {name: home, purpose: marketing.web, channels: [web], variants: [hero, plain]}
  - {name: one, purpose: marketing.web, channels: [web], variants: [hero.1.red.look]}
  - {name: list, purpose: marketing.web, channels: [web], sources: [{source: popular, template: card}]}
"""
SHOE = Item(
    item_id="s1",
    title="Red shoe",
    price=Decimal("12.5"),
    currency="EUR",
    url="https://shop.example/s1",
    category="shoes",
)


def test_five_by_three_by_two_options_are_thirty_arms_with_ids_of_their_own():
    made = parse(GOOD)
    found = declared(made, made.placement("home"), settings=DecisionSettings(), published=set())
    ids = [one.variant for one in found]
    assert len(set(ids)) == len(ids) == 31
    assert ids[0] == "hero.1.red.look"
    assert {one.family for one in found} == {"hero", None}
    assert {one.category for one in found} == {"season"}
    words = made.variant("hero.4.blue.buy").words()
    assert words["body"] == "Last chance, {{ first_name }}"
    assert words["image"] == "https://shop.example/blue.jpg"
    assert words["action"]["label"] == "Buy"
    assert set(words["slots"]) == {"first_name"}
    assert [one.id for one in made.offered(made.placement("one"))] == ["hero.1.red.look"]


def test_what_was_published_before_there_were_items_has_the_words_it_had():
    plain = parse(GOOD.replace("label: Plain,", "label: Plain, slots: {a: {trait: first_name, fallback: b}},")).variant(
        "plain"
    )
    assert plain.words() == {
        "id": "plain", "label": "Plain", "subject": "", "heading": "", "preheader": "", "body": "Hello", "action": None,
        "slots": {"a": {"trait": "first_name", "fallback": "b"}}, "locale": None, "is_advertisement": True, "on_behalf_of": "",
        "paid_by": "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("headline: {options: [New, Warm, Soft, Last chance, Back]}", "headline: {options: [a, b, c, d, e, f, g, h, i, j, k]}", "at most 64 permutations of variant 'hero', got 11 x 3 x 2 = 66"),
        ("title: {item: title}", "title: {item: titel}", "title"),
        ("title: {item: title}", "title: {item: title, trait: x}", "exactly one of trait, item and options"),
        ("title: {item: title}", "title: {options: [a, b]}", "items or options"),
        ("headline: {options: [New, Warm, Soft, Last chance, Back]}", "headline: {options: [a], fallback: b}", "no fallback beside options"),
        ("variants: [hero, plain]", "variants: [hero, card]", "expected a source for 'card'"),
        ("variants: [hero, plain]", "variants: [hero, plan]", "did you mean 'plain'?"),
        ("template: card", "template: plain", "expected a template with slots for an item"),
        ("template: card", "template: crad", "did you mean 'card'?"),
        ("source: popular", "source: populer", "popular"),
        (", variants: [hero.1.red.look]", "", "expected variants or sources"),
        ("placements:", "bundles: [{id: b, primary: s1, items: [s1]}]\nplacements:", "every item of bundle 'b' once"),
        ("channels: [web], sources:", "channels: [web], items: {max_price: 9}, sources:", "expected the currency"),
        ("id: plain", "id: hero.1.red.look", "every variant id once"),
    ],
)  # fmt: skip
def test_a_wrong_slot_or_source_is_named(old, new, words):
    assert old in GOOD
    with pytest.raises(CatalogueInvalid) as caught:
        parse(GOOD.replace(old, new))
    assert words in str(caught.value)


def test_an_item_s_words_have_another_id_when_a_reader_would_see_others():
    made = parse(GOOD)
    card = made.variant("card")
    words = worded(card, SHOE, {})
    assert words["body"] == "Red shoe for 12.50 EUR, {{ first_name }}"
    assert words["action"]["url"] == "https://shop.example/s1"
    assert words["id"] == variant_id("card", SHOE)
    assert name_parts(words["id"]) == ("card", "s1")
    dearer = Item(item_id="s1", title="Red shoe", price=Decimal(13), currency="EUR", url=SHOE.url, category="shoes")
    assert variant_id("card", dearer) != words["id"]
    rarer = Item(
        item_id="s1", title="Red shoe", price=Decimal("12.50"), currency="EUR", url=SHOE.url, category="shoes", stock=1
    )
    assert variant_id("card", rarer) == words["id"]
    assert worded(card, Item(item_id="s2", title="No price", url=SHOE.url), {}) is None
    assert made.variant(words["id"]).id == "card"


def test_a_bundle_is_an_item_whose_parts_set_its_limits():
    parts = [
        Item(
            item_id="a",
            title="A",
            price=Decimal(10),
            currency="EUR",
            stock=3,
            regions=("by", "be"),
            content_rating="all",
        ),
        Item(item_id="b", title="B", price=Decimal(5), currency="EUR", regions=("by",), content_rating="all"),
    ]
    whole = bundle("ab", parts, discount=0.1)
    assert (whole.price, whole.stock, whole.regions, whole.content_rating) == (Decimal("13.50"), 3, ("by",), "all")
    assert whole.slots({})["price_before"] == "15.00 EUR"
    assert whole.slots({})["discount"] == "10 %"
    assert bundle("ab", [parts[0], Item(item_id="c", title="C", price=Decimal(5), currency="USD")], discount=0) is None
    apart = [parts[0], Item(item_id="c", title="C", price=Decimal(5), currency="EUR", regions=("sn",))]
    assert bundle("ac", apart, discount=0).stock == 0


@given(
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,20}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,20}", fullmatch=True),
)
def test_an_id_says_which_template_and_which_item(template, item):
    assert name_parts(item_variant(template, item, "0123456789")) == (template, item)
    assert name_parts(f"{template}~{item}") == (template, item)
    assert name_parts(template) == (template, None)


def test_a_fallback_stands_in_for_a_field_that_the_item_lacks():
    card = parse(GOOD.replace("price: {item: price}", "price: {item: price, fallback: a good price}")).variant("card")
    assert slot_texts(card, Item(item_id="s2", title="T", url="https://x.example/"), {})["price"] == "a good price"
