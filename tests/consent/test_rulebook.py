"""The rules as one signed thing: digest, sources, signatures that are demanded, files that were changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit.note import SignerKey, sign
from consent import precedence, rulebook
from consent.errors import PurposesInvalid, RulesUnsigned
from consent.settings import ConsentSettings

COUNSEL = SignerKey.generate("counsel")
PACK = (precedence.PACKS / "gdpr.yaml").read_text(encoding="utf-8")
BOOK = rulebook.load(ConsentSettings())


def asked(tmp_path: Path, *, signed: str | None = None, **more: object) -> ConsentSettings:
    """Settings that demand counsel's signature, with this one."""
    if signed is not None:
        (tmp_path / "rules.note").write_text(signed, encoding="utf-8")
        more["rules_signature"] = tmp_path / "rules.note"
    return ConsentSettings(rules_keys=(COUNSEL.verifier.text,), **more)  # type: ignore[arg-type]


def packs(tmp_path: Path, text: str, name: str = "gdpr") -> Path:
    folder = tmp_path / "packs"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def test_every_rule_of_every_pack_has_a_source_and_every_file_a_version() -> None:
    lines = list(BOOK.lines())
    assert {line.part for line in lines} >= {f"pack/{place}" for place in ("default", "gdpr", "uk", "us-ca")}
    assert all(len(line.source) > 5 for line in lines)
    assert all(part.version != "none" for part in BOOK.parts)
    places = BOOK.rules.precedence.jurisdictions
    assert {line.rule for line in lines if line.part == "purposes"} == {
        f"{key} in {place}" for key in BOOK.rules.purposes.by_key for place in places
    }


def test_the_digest_is_the_same_in_every_process() -> None:
    told = "from consent import rulebook, settings; print(rulebook.load(settings.ConsentSettings()).digest)"
    for seed in ("1", "2"):
        made = subprocess.run(
            [sys.executable, "-c", told],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert made.stdout.strip() == BOOK.digest


@pytest.mark.parametrize(("change", "same"), [
    (("# European", "# The European"), True),
    (('{allowed: false, source: "GDPR Art. 7(1)"}', '{allowed: true, source: "GDPR Art. 7(1)"}'), False),
    (('GDPR Art. 7(1)"}', 'GDPR Art. 7(2)"}'), False),
])  # fmt: skip
def test_a_comment_changes_nothing_and_a_rule_changes_the_digest(tmp_path: Path, change, same: bool) -> None:
    other = rulebook.load(ConsentSettings(packs_dir=packs(tmp_path, PACK.replace(*change))))
    assert (other.digest == BOOK.digest) is same


def test_where_the_law_is_asked_is_part_of_the_digest() -> None:
    assert rulebook.load(ConsentSettings(jurisdiction="gdpr")).digest != BOOK.digest


def test_rules_that_counsel_signed_are_taken_and_name_her(tmp_path: Path) -> None:
    settings = asked(tmp_path, signed=sign(BOOK.statement, COUNSEL))
    assert rulebook.load(settings).signed_by == ("counsel",)


def test_a_pack_that_was_changed_after_it_was_signed_is_named(tmp_path: Path) -> None:
    changed = packs(tmp_path, PACK.replace("allowed: false", "allowed: true"))
    settings = asked(tmp_path, signed=sign(BOOK.statement, COUNSEL), packs_dir=changed)
    with pytest.raises(RulesUnsigned, match="got others: pack/gdpr ") as caught:
        rulebook.load(settings)
    assert "sign-rules" in caught.value.remedy


def test_without_a_signature_by_a_demanded_key_nothing_is_in_force(tmp_path: Path) -> None:
    good = sign(BOOK.statement, COUNSEL)
    with pytest.raises(RulesUnsigned, match="got none"):
        rulebook.load(asked(tmp_path))
    with pytest.raises(RulesUnsigned, match="FileNotFound"):
        rulebook.load(asked(tmp_path, rules_signature=tmp_path / "gone.note"))
    for signed, word in (
        (sign(BOOK.statement, SignerKey.generate("counsel")), "known key"),
        (BOOK.statement, "signature"),
        (good.replace("jurisdiction default", "jurisdiction us-ca"), "expected a signature"),
        (good[:-8] + "AAAAAAA\n", "signature"),
    ):
        with pytest.raises(RulesUnsigned, match=word):
            rulebook.load(asked(tmp_path, signed=signed))


@pytest.mark.parametrize(("change", "word"), [
    ((', source: "GDPR Art. 7(1)"}', "}"), "unverified_import_permits/source"),
    (("unverified_import_permits:", "unverified_imports:"), "gdpr/rules"),
    (('  consent: "GDPR Art. 4(11), 6(1)(a), 7"\n', ""), "pack of gdpr knows"),
    (("version:", "versions:"), "gdpr/version"),
])  # fmt: skip
def test_a_pack_that_does_not_hold_together_is_refused_by_place(tmp_path: Path, change, word: str) -> None:
    with pytest.raises(PurposesInvalid, match=word):
        rulebook.load(ConsentSettings(packs_dir=packs(tmp_path, PACK.replace(*change))))


def test_a_pack_of_ones_own_adds_a_jurisdiction(tmp_path: Path) -> None:
    folder = packs(tmp_path, PACK.replace("European Union and EEA", "Switzerland"), "ch")
    assert rulebook.load(ConsentSettings(packs_dir=folder)).rules.precedence.pack("ch").title == "Switzerland"
    with pytest.raises(PurposesInvalid, match="folder of packs"):
        rulebook.load(ConsentSettings(packs_dir=tmp_path / "nowhere"))


def test_the_rules_of_then_are_built_from_what_their_files_said() -> None:
    again = rulebook.build({part.name: part.says for part in reversed(BOOK.parts)}, "default")
    assert again.digest == BOOK.digest
