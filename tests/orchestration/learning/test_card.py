"""A model's card says what the registry holds, and nothing else."""

import pytest

from orchestration.learning.card import card, words
from orchestration.learning.errors import CardInvalid, UnknownModel
from tests.orchestration.learning.test_service import past

pytestmark = pytest.mark.anyio


async def test_a_card_is_made_of_what_is_registered(shop, tmp_path) -> None:
    await past(shop, tmp_path, count=240)
    made = await shop.learning.train("open", actor="staff:ann", promote=False)
    told = await card(shop.learning, made.digest)
    assert told == await card(shop.learning, made.digest[7:19])
    assert (told["digest"], told["placement"], told["rules_now"]) == (made.digest, "open", False)
    trained = told["trained"]
    assert (trained["rows"], trained["training_set"]) == (made.rows, made.training_set)
    assert trained["since"] <= trained["until"] <= trained["at"]
    assert trained["columns"] == sum(len(one["columns"]) for one in told["columns"])
    assert sum(one["share"] for one in told["columns"]) == pytest.approx(1.0)
    assert {one["about"] for one in told["columns"] if one["concept"] == "message"} == {"message"}
    assert told["metrics"]["calibration"] == made.evaluation["calibration"]
    assert told["gate"]["comparisons"]["vs_rules"] == made.evaluation["vs_rules"]
    assert told["promotions"] == []
    assert told["proxies"]["flagged"] == []
    assert "religion" in told["proxies"]["untried"]
    await shop.learning.promote(made.digest, actor="staff:ann", reason="looked at it", force=True)
    again = await card(shop.learning, made.digest)
    assert again["rules_now"]
    assert [(one["actor"], one["reason"]) for one in again["promotions"]] == [("staff:ann", "looked at it")]
    path = shop.learning._registry.path(made.digest)
    path.write_bytes(path.read_bytes() + b" ")
    shop.learning._registry._loaded.clear()
    broken = await card(shop.learning, made.digest)
    assert "altered" in broken["file"]
    assert broken["trained"]["columns"] is None
    for name in ("sha256:" + "0" * 64, "ffff", made.digest[7:11]):
        with pytest.raises(UnknownModel):
            await card(shop.learning, name)


def test_words_of_cards_are_checked(tmp_path) -> None:
    assert any("significant_decision" in one.use for one in words(None).not_for)
    (tmp_path / "card.yaml").write_text("version: one\nmeant_for: [a]\nnot_for: [{use: x}]\nlimits: []")
    with pytest.raises(CardInvalid, match="not_for/0"):
        words(tmp_path / "card.yaml")
