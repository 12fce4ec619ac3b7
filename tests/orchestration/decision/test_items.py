"""An item feed on real Postgres: imported, counted, published, brought forward, refused, replayed. decision.D10, D46, D47."""

import json

import pytest

from events import mapping
from events.errors import BadMap
from orchestration.decision import item_store
from orchestration.decision.catalogue import NOTHING
from orchestration.decision.feed import read_row
from orchestration.decision.placing import Placing
from orchestration.decision.request import OnPage
from orchestration.decision.variants import name_parts
from tests.orchestration.decision.items import CATALOGUE, MAP, ROWS, did, imported, opened, refresh, visitor

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stocked(shop, tmp_path):
    """Items, and three people who made some of them popular."""
    made = await opened(shop, tmp_path)
    await imported(made, tmp_path, ROWS)
    for name, region, items in [
        ("ada", "by", ["s1", "s2", "h1"]),
        ("bob", "be", ["s1", "s3", "h3"]),
        ("cy", "by", ["s2", "h2", "x1"]),
    ]:
        person = await visitor(made, name, state=region)
        for item in items:
            kind = next(row["kind"] for row in ROWS if row["sku"] == item)
            await did(made, person, "Product Viewed", product_id=item, category=kind)
    yield made
    await made.decisions.close()


async def candidates(shop, made):
    shown = await shop.decisions.show(made.decision_id)
    return {one["id"].partition("@")[0]: (one["stage"], one["reason"]) for one in shown["candidates"]}


def of_items(found):
    return {name.split("~")[1]: why for name, why in found.items() if "~" in name}


async def test_a_feed_is_imported_in_whole_batches_resumed_and_its_faults_reported(shop, tmp_path):
    await opened(shop, tmp_path)
    bad = [{"sku": "no good", "name": "X"}, {"sku": "new", "price": "1"}, {"sku": "p", "name": "P", "price": "9,50"}]
    report = await imported(shop, tmp_path, [*ROWS, *bad])
    assert (report.accepted, report.rejected, report.duplicates) == (7, 3, 0)
    assert [(one.line, one.column) for one in report.faults] == [(8, "item_id"), (9, "title"), (10, "price")]
    assert "no good" not in report.report.read_text()
    again = await imported(shop, tmp_path, [*ROWS, *bad])
    assert (again.resumed_at, again.accepted) == (10, 7)
    other = await imported(shop, tmp_path, [ROWS[0], ROWS[1] | {"price": "26"}], name="second.jsonl")
    assert (other.accepted, other.duplicates) == (1, 1)
    assert await shop.rows("SELECT price::text AS p FROM decision.items WHERE item_id = 's2'") == [{"p": "26.0000"}]


async def test_a_file_of_stocks_changes_nothing_but_stocks(shop, tmp_path):
    await opened(shop, tmp_path)
    await imported(shop, tmp_path, ROWS)
    text = "source: stocks\nwhat: catalogue\nproperties: {item_id: sku, stock: left}\n"
    report = await imported(
        shop,
        tmp_path,
        [{"sku": "s1", "left": 0}, {"sku": "s2", "left": "*"}, {"sku": "zz", "left": 1}],
        "stock.jsonl",
        text,
    )
    assert [(one.column, one.reason) for one in report.faults] == [
        ("title", "expected the title of a new item, got nothing")
    ]
    rows = await shop.rows(
        "SELECT item_id, stock, title, regions FROM decision.items WHERE item_id IN ('s1', 's2', 'h1') ORDER BY 1"
    )
    assert [(r["item_id"], r["stock"], r["title"], r["regions"]) for r in rows] == [
        ("h1", None, "Straw hat", ["by", "be"]), ("s1", 0, "Red shoe", []), ("s2", None, "Blue shoe", []),
    ]  # fmt: skip


@pytest.mark.parametrize("properties", ["{title: name}", "{item_id: sku, colour: hue}"])
async def test_a_map_that_names_no_item_or_an_unknown_field_is_refused_before_the_first_row(shop, tmp_path, properties):
    await opened(shop, tmp_path)
    with pytest.raises(BadMap, match="item_id"):
        await imported(shop, tmp_path, ROWS, text=f"source: f\nwhat: catalogue\nproperties: {properties}\n")
    assert await shop.rows("SELECT 1 FROM decision.items") == []


def test_no_cell_of_a_feed_is_too_much_for_its_reader():
    for name, value in {"stock": "1E+999999999", "price": "1e99", "rating": "101", "region": [["by"]]}.items():
        assert read_row({"item_id": "a", "currency": "EUR", name: value}).column == name
    row = read_row({"item_id": "a", "price": "9999999999.99995", "currency": "EUR", "rating": "1e-20000"})
    assert row.column == "price"
    row = read_row({"item_id": "a", "price": "0.12345", "currency": "EUR", "rating": "1e-20000"})
    assert (str(row.price), str(row.rating)) == ("0.1235", "0.00")


async def test_rows_about_one_item_add_up_wherever_batches_begin(shop, tmp_path):
    await opened(shop, tmp_path)
    rows = [{"sku": "n", "name": "New"}, {"sku": "n", "price": "9.123456", "left": 4}, {"sku": "n", "left": 3}]
    text = "source: feed\nwhat: catalogue\nproperties: {item_id: sku, title: name, price: price, currency: {constant: EUR}, stock: left}\n"
    report = await imported(shop, tmp_path, rows, "rows.jsonl", text)
    assert report.rejected == 0
    got = await shop.rows("SELECT title, price::text AS price, stock FROM decision.items WHERE item_id = 'n'")
    assert got == [{"title": "New", "price": "9.1235", "stock": 3}]
    again = await imported(shop, tmp_path, [*rows, {"sku": "n"}], "again.jsonl", text)
    assert (again.accepted, again.duplicates) == (0, 4), "nothing of it is new"


async def test_ids_of_items_are_never_taken_for_numbers(shop, tmp_path):
    await opened(shop, tmp_path)
    file = tmp_path / "feed.csv"
    file.write_text("sku,name,left\n1.50,One,2\n007,Two,3\n")
    from events.importer import Importer

    importer = Importer(shop.kernel, shop.audit, {"catalogue": shop.decisions.item_rows})
    await importer.run(
        file, mapping.parse("source: f\nwhat: catalogue\nproperties: {item_id: sku, title: name, stock: left}\n")
    )
    assert [r["item_id"] for r in await shop.rows("SELECT item_id FROM decision.items ORDER BY 1")] == ["007", "1.50"]


async def test_every_arm_of_every_placement_is_published_or_refused_with_one_stage_and_reason(stocked):
    """decision.D10, D47: before anything is published no item comes forward; afterwards each is published, or says why not."""
    before = await stocked.decide(stocked.made["ada"], "home")
    assert of_items(await candidates(stocked, before)) == {}
    done = await refresh(stocked)
    assert (done.people, done.unsaid) == (3, 0)
    published = {row["variant"] for row in await stocked.rows("SELECT variant FROM decision.item_contents")}
    fixed = {
        row["variant"] for row in await stocked.rows("SELECT variant FROM decision.variants WHERE withdrawn_at IS NULL")
    }
    for person in stocked.made.values():
        for placement in ("home", "mail", "fixed"):
            made = await stocked.decide(person, placement)
            found = await candidates(stocked, made)
            for name, (stage, reason) in found.items():
                assert name in published | fixed | {NOTHING}
                assert (stage is None) == (made.choice.partition("@")[0] == name)
                assert stage is None or reason
            assert abs(sum(one.propensity for one in made.outcome.judged) - 1) <= 1e-12
            assert (await stocked.decisions.replay(made.decision_id)).identical


async def test_stock_region_rating_and_price_are_refusals_of_their_own(stocked):
    await refresh(stocked)
    found = of_items(await candidates(stocked, await stocked.decide(stocked.made["cy"], "home")))
    assert found["h2"] == ("publication", "out_of_stock")
    assert found["h3"] == ("publication", "wrong_region")
    assert found["x1"] == ("publication", "content_rating")
    assert found["s3"] == ("publication", "price_out_of_bounds")
    assert found["s2"][0] in {None, "score"}
    nowhere = await visitor(stocked, "dee")
    lost = of_items(await candidates(stocked, await stocked.decide(nowhere, "home")))
    assert lost["h1"] == ("publication", "region_unknown")
    there = await stocked.decide(nowhere, "home", context={"region": "by"})
    assert of_items(await candidates(stocked, there))["h1"][0] in {None, "score"}


async def test_sections_say_why_and_only_to_who_permits_it(stocked):
    await refresh(stocked)
    made = await stocked.decide(stocked.made["ada"], "home")
    sections = {one.arm.item: one.arm.section for one in made.outcome.judged if one.arm is not None and one.arm.item}
    assert sections["set"] == "Goes with Red shoe"
    assert sections["s2"] == "Because you looked at shoes"
    stranger = await visitor(stocked, "eve", state="by", agree=("marketing.web",))
    with pytest.raises(AssertionError, match="filtered"):  # the door keeps nothing of hers
        await did(stocked, stranger, "Product Viewed", product_id="s1", category="shoes")
    plain = await stocked.decide(stranger, "home")
    assert {one.arm.section for one in plain.outcome.judged if one.arm is not None and one.arm.item} == {"Popular now"}


async def test_a_changed_price_is_published_anew_and_a_lost_stock_refused_at_once(stocked, tmp_path):
    await refresh(stocked)
    person = stocked.made["bob"]
    before = [name for name in await candidates(stocked, await stocked.decide(person, "home")) if "~s1~" in name]
    await imported(stocked, tmp_path, [{"sku": "s1", "price": "19"}, {"sku": "s2", "left": 0}], "change.jsonl")
    after = await candidates(stocked, await stocked.decide(person, "home"))
    now = [name for name in after if "~s1~" in name]
    assert now != before
    assert after[now[0]][0] in {None, "score"}
    assert of_items(after)["s2"] == ("publication", "out_of_stock")
    old = await stocked.rows("SELECT words FROM decision.item_contents WHERE variant = ANY(%s)", [*before, *now])
    assert sorted(row["words"]["body"] for row in old) == [
        "Red shoe for 19.00 EUR, {{ first_name }}",
        "Red shoe for 20.00 EUR, {{ first_name }}",
    ]


async def test_what_stands_on_a_page_ends_with_its_stock_and_with_its_price(stocked, tmp_path):
    """D48: a choice holds until its time to live is over, unless stock stops it; and an old price is no offer."""
    await refresh(stocked)
    person = stocked.made["bob"]
    placing = Placing(
        stocked.kernel, stocked.identity, stocked.consent, stocked.events, stocked.profiles, stocked.channels.pages,
        stocked.decisions,
    )  # fmt: skip

    async def stands(one):
        return await placing._bears(one, await placing._version(person), await stocked.decisions.shelf.current())

    seen = await stocked.decide(person, "home", page=OnPage())
    item = name_parts(seen.variant)[1]
    assert item in {"s1", "s2"}
    assert await stands(seen.standing)
    price = next(row["price"] for row in ROWS if row["sku"] == item)
    await imported(stocked, tmp_path, [{"sku": item, "price": "19.50"}], "dearer.jsonl")
    assert not await stands(seen.standing)
    await imported(stocked, tmp_path, [{"sku": item, "price": price}], "as_before.jsonl")
    assert await stands(seen.standing)
    await imported(stocked, tmp_path, [{"sku": item, "left": 0}], "sold.jsonl")
    assert not await stands(seen.standing)


async def test_a_decision_on_what_was_offered_before_is_made_afresh(stocked, tmp_path, monkeypatch):
    await refresh(stocked)
    gather, done = stocked.decisions._gatherer.gather, []

    async def late(*args, **more):
        found = await gather(*args, **more)
        if not done:
            done.append(await imported(stocked, tmp_path, [{"sku": "s1", "left": 0}], "late.jsonl"))
        return found

    monkeypatch.setattr(stocked.decisions._gatherer, "gather", late)
    made = await stocked.decide(stocked.made["ada"], "home")
    assert made.attempts == 2
    assert of_items(await candidates(stocked, made))["s1"] == ("publication", "out_of_stock")
    fixed = await stocked.decide(stocked.made["ada"], "fixed")
    assert fixed.attempts == 1


async def test_a_thumb_moves_the_next_decision(stocked):
    await refresh(stocked)
    bob = stocked.made["bob"]
    first = await stocked.decide(bob, "home")
    order = [one.arm.item for one in first.outcome.judged if one.arm is not None and one.arm.source == "category"]
    assert order[0] in {"s1", "s2", "s3"}
    hat = next(one.arm.variant for one in first.outcome.judged if one.arm is not None and one.arm.item == "h3")
    for _ in range(2):
        await did(stocked, bob, "Content Rated", decision_id=first.decision_id, variant=hat, thumb="up")
    liked = await stocked.decide(bob, "home")
    tastes = {one.arm.item: one.arm.taste for one in liked.outcome.judged if one.arm is not None and one.arm.item}
    assert tastes["h3"] > tastes["s1"]
    await did(stocked, bob, "Content Rated", category="shoes", thumb="down")
    after = await stocked.decide(bob, "home")
    begins = [one.arm.category for one in after.outcome.judged if one.arm is not None and one.arm.source == "category"]
    assert set(begins) == {"hats"}


async def test_an_item_is_written_into_an_email_and_its_address_into_the_button(stocked):
    await refresh(stocked)
    made = None
    for place in range(40):
        made = await stocked.decide(stocked.made["ada"], "mail", seed=f"s{place}", send=True)
        if made.delivery_id is not None:
            break
    (row,) = await stocked.rows("SELECT delivery_id FROM channels.deliveries WHERE decision_id = %s", made.decision_id)
    assert row["delivery_id"] == made.delivery_id
    sent = await stocked.channels.dispatch()
    assert sent.total == 1


async def test_the_hot_profile_names_no_thing(stocked):
    hot = await stocked.profiles.hot(stocked.made["ada"], "marketing.personalize")
    assert {one.kind for one in hot.interests} == {"item", "category"}
    (words,) = await stocked.profiles._hot.read([stocked.made["ada"]], "marketing.personalize")
    assert not any(name in words.decode() for name in ("shoes", "hats", '"s1"'))


async def test_publishing_the_catalogue_publishes_what_is_listed_by_its_new_template(stocked):
    await refresh(stocked)
    text = CATALOGUE.replace("id: card\n", "id: tile\n").replace("template: card", "template: tile")
    await stocked.publish(text)
    made = await stocked.decide(stocked.made["ada"], "home")
    found = await candidates(stocked, made)
    assert any(name.startswith("tile~") and stage in {None, "score"} for name, (stage, _) in found.items())


async def test_without_items_or_sources_there_is_nothing_to_count(shop, tmp_path):
    assert (await refresh(shop)).version == 0
    await opened(shop, tmp_path)
    assert (await refresh(shop)).lists == 0


async def test_best_rated_walks_from_category_to_category(shop, tmp_path):
    await opened(shop, tmp_path)
    await imported(shop, tmp_path, ROWS)
    async with shop.kernel.db.reading() as conn:
        assert await item_store.best_rated(conn, 2) == {"hats": ["h1", "h3"], "shoes": ["s1", "s2"]}


def test_the_map_of_a_feed_is_the_one_of_the_reference():
    assert json.loads(mapping.parse(MAP).model_dump_json())["what"] == "catalogue"
