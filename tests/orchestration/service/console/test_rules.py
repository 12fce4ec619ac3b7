"""The page of the rules: what is in force, what the files say otherwise, what changed since, and who may read it."""

from datetime import timedelta
from pathlib import Path

import pytest

from audit.access.principal import Scope
from consent import precedence
from tests.orchestration.service.console.test_pages import words

pytestmark = pytest.mark.anyio
PACK = (precedence.PACKS / "us-ca.yaml").read_text(encoding="utf-8")


def on_file(house, folder: Path, text: str) -> None:
    """The settings name a folder of packs, and counsel writes in it."""
    packs = folder / "packs"
    packs.mkdir()
    (packs / "us-ca.yaml").write_text(text, encoding="utf-8")
    house.consent.book._settings = house.consent.settings.model_copy(update={"packs_dir": packs})


async def test_what_the_files_say_otherwise_is_told_rule_by_rule_before_it_is_in_force(comes, house, tmp_path) -> None:
    ann = await comes()
    on_file(house, tmp_path, PACK.replace("directive_override: {allowed: true", "directive_override: {allowed: false"))
    seen = words((await ann.get("/console/rules")).text)
    assert "The files say something else Not in force yet" in seen
    assert "pack/us-ca rules / directive_override / allowed yes no" in seen
    twin = (await ann.get("/console/rules.json")).json()
    assert twin["on_file"]["changes"] == [
        {"part": "pack/us-ca", "place": "rules / directive_override / allowed", "before": "yes", "after": "no"}
    ]
    assert twin["on_file"]["digest"] != twin["digest"]


async def test_files_that_a_start_would_refuse_are_named(comes, house, tmp_path) -> None:
    ann = await comes()
    on_file(house, tmp_path, PACK.replace("version:", "versions:"))
    seen = words((await ann.get("/console/rules")).text)
    assert "A start would be refused" in seen
    assert "us-ca/version" in seen


async def test_what_changed_since_rules_of_then(comes, house, clock, tmp_path) -> None:
    book = house.consent.book
    on_file(house, tmp_path, PACK.replace("11 CCR 7028(a)", "11 CCR 7028"))
    mine, book.mine = book.mine, book.on_file()
    await book.put_in_force()
    old, book.mine = book.mine.digest, mine
    clock.advance(timedelta(days=1))
    await book.put_in_force()
    ann = await comes()
    page = (await ann.get("/console/rules")).text
    assert f"/console/rules?since={old.replace(':', '%3A')}" in page
    seen = words((await ann.get(f"/console/rules?since={old}")).text)
    assert "unverified_import_permits / source 11 CCR 7028 11 CCR 7028(a)" in seen
    assert "What changed since" not in words((await ann.get("/console/rules?since=sha256:no")).text).replace("what changed since", "")  # fmt: skip


async def test_rules_are_for_officers_and_auditors(comes) -> None:
    for scope, status in ((Scope.AUDITOR, 200), (Scope.OFFICER, 200), (Scope.DECIDE, 403)):
        clerk = await comes(scope.value, scope)
        assert (await clerk.get("/console/rules")).status_code == status
