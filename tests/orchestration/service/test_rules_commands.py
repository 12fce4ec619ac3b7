"""`candor consent rules` and `sign-rules`: every rule with its source, a signature over them, and what happens when they were changed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from consent import precedence
from orchestration.service.cli.main import build

APP = build()
RULES = ["consent", "rules", "--json"]


@pytest.fixture
def packs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packs of one's own, with the one of the United Kingdom."""
    folder = tmp_path / "packs"
    folder.mkdir()
    (folder / "uk.yaml").write_text((precedence.PACKS / "uk.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setenv("CANDOR_CONSENT__PACKS_DIR", str(folder))
    return folder


def test_rules_that_were_signed_are_shown_with_their_signer_and_changed_ones_end_with_an_error(
    tmp_path: Path, packs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = json.loads(CliRunner().invoke(APP, RULES).stdout)
    assert shown["signed_by"] == []
    assert {"part", "rule", "says", "source"} == shown["rules"][0].keys()
    key, out = tmp_path / "counsel.skey", tmp_path / "rules.note"
    signed = CliRunner().invoke(APP, ["consent", "sign-rules", "--key", str(key), "--out", str(out)])
    assert signed.exit_code == 0
    assert key.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("CANDOR_CONSENT__RULES_KEYS", json.dumps([signed.stdout.strip().splitlines()[-1]]))
    missing = CliRunner().invoke(APP, RULES)
    assert (missing.exit_code, "rules_unsigned" in missing.output) == (1, True)
    monkeypatch.setenv("CANDOR_CONSENT__RULES_SIGNATURE", str(out))
    taken = json.loads(CliRunner().invoke(APP, RULES).stdout)
    assert (taken["signed_by"], taken["digest"]) == (["counsel"], shown["digest"])
    pack = packs / "uk.yaml"
    pack.write_text(pack.read_text(encoding="utf-8").replace("allowed: false", "allowed: true"), encoding="utf-8")
    changed = CliRunner().invoke(APP, RULES)
    assert changed.exit_code == 1
    assert "pack/uk" in changed.output
    again = CliRunner().invoke(APP, ["consent", "sign-rules", "--key", str(key), "--out", str(out)])
    assert again.exit_code == 0
    assert json.loads(CliRunner().invoke(APP, RULES).stdout)["digest"] != shown["digest"]


def test_every_column_is_printed_with_its_rule() -> None:
    found = json.loads(CliRunner().invoke(APP, ["retention", "columns", "--json"]).stdout)
    assert {"table": "consent.acts", "column": "raw", "category": "sealed"}.items() <= next(
        one for one in found if (one["table"], one["column"]) == ("consent.acts", "raw")
    ).items()
