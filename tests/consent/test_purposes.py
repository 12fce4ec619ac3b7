"""Purposes and precedence as data: what loads, what is refused."""

from pathlib import Path

import pytest

from consent import precedence, purposes
from consent.errors import PurposesInvalid, UnknownPurpose
from consent.purposes import Basis

GOOD = """
version: "1"
purposes:
  - key: marketing.sms
    parent: marketing
    title: Offers by text message
    description: Offers sent to your phone.
    data_use: marketing.communications.sms
    channels: [sms]
    categories: [user.contact.phone_number]
    basis: {default: consent}
"""


def test_shipped_purposes_name_one_basis_everywhere_and_a_fideslang_use() -> None:
    tree = purposes.load()
    wanted = {
        "service", "analytics", "marketing.email", "marketing.push", "marketing.web", "marketing.personalize",
    }  # fmt: skip
    assert wanted <= set(tree.by_key)
    packs = precedence.load().jurisdictions
    for purpose in tree.by_key.values():
        assert {purpose.basis_in(place) for place in packs} <= set(Basis)
        assert set(purpose.basis) <= set(packs)
        assert purpose.data_use
        assert purpose.categories


def test_a_child_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    tree = purposes.load(path)
    assert tree.lineage("marketing.sms") == ("marketing.sms", "marketing")
    assert "marketing.sms" in tree.children("marketing")
    assert tree.channel_of("marketing.sms", None) == "sms"
    with pytest.raises(UnknownPurpose):
        purposes.load().expect("marketing.sms")


@pytest.mark.parametrize(("change", "word"), [
    (("parent: marketing", "parent: nowhere"), "parent"),
    (("parent: marketing", "parent: marketing.sms"), "circle"),
    (("key: marketing.sms", "key: marketing"), "twice"),
    (("key: marketing.sms", "key: sale_share"), "reserved"),
    (("{default: consent}", "{gdpr: consent}"), "default"),
    (("{default: consent}", "{default: legitimate_interests}"), "balancing_test"),
    (("{default: consent}", "{default: hope}"), "basis"),
    (("title:", "titel:"), "title"),
    (("purposes:", "purposes"), "YAML"),
])  # fmt: skip
def test_a_file_that_does_not_hold_together_is_refused_by_name(tmp_path: Path, change, word: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD.replace(*change))
    with pytest.raises(PurposesInvalid, match=word):
        purposes.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PurposesInvalid, match=r"gone\.yaml"):
        purposes.load(tmp_path / "gone.yaml")
