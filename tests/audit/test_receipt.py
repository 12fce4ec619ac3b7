"""A receipt proves offline, and no bit of it can change unseen."""

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import receipt
from audit.entries import NewEntry
from audit.errors import InvalidReceipt
from audit.note import SignerKey
from audit.tags import Tag
from kernel.canonical import digest
from kernel.errors import InvalidInput

ROOT = Path(__file__).resolve().parents[2]
POLICY = {"rules": ["consent", "cap"], "ε": 0.1}
ACTS = [{"act": "act_1", "status": "granted"}]


@pytest.fixture
async def made(audit, act, kernel, anyio_backend):
    """(entry id, its receipt, the log's key)."""
    (key_id,) = await kernel.vault.create_keys(1)
    await act(40)
    (entry_id,) = await act(
        NewEntry(
            Tag.DECISION_MADE,
            {"decision": "dec_x", "model": digest({"m": 1})},
            {"policy": digest(POLICY), "acts": digest(ACTS), "choice": "variant-é-7", "propensity": 0.25},
            key_id,
        )
    )
    await act(30)
    await audit.sequence()
    proof = await audit.receipt(entry_id, {"policy": POLICY, "acts": ACTS, "model": {"m": 1}})
    (key,) = await audit.verifier_keys()
    return entry_id, proof, key.text, key_id


pytestmark = pytest.mark.anyio


async def test_a_receipt_read_back_from_its_file_is_valid_and_trusted_under_the_given_key(made, tmp_path):
    _, proof, key, _ = made
    file = tmp_path / "receipt.json"
    file.write_text(proof.text)
    verdict = receipt.verify_file(file, key)
    assert verdict.ok, verdict.lines
    assert verdict.trusted
    assert verdict.lines[-1] == "valid"
    assert "evidence 'policy' is what the entry rests on" in verdict.lines
    assert 'choice = "variant-é-7"' in verdict.lines
    assert receipt.parse(proof.text) == proof


async def test_without_a_key_it_tells_the_fingerprint_and_that_it_is_untrusted(made):
    _, proof, key, _ = made
    verdict = receipt.verify(proof)
    assert (verdict.ok, verdict.trusted) == (True, False)
    assert verdict.fingerprint.startswith("sha256:")
    assert any("UNTRUSTED" in line and key in line for line in verdict.lines)


async def test_another_logs_key_is_refused(made):
    _, proof, _, _ = made
    verdict = receipt.verify(proof, SignerKey.generate("example.org/test-log").verifier.text)
    assert (verdict.ok, verdict.trusted) == (False, False)
    assert not receipt.verify(proof, "garbage").ok


async def test_every_flipped_bit_is_seen(made):
    """Over the whole file: each flip is refused, or the file still says exactly the same."""
    _, proof, key, _ = made
    whole, same = proof.text.encode(), json.loads(proof.text)
    harmless = 0
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            try:
                taken = receipt.parse(flipped.decode())
            except (UnicodeDecodeError, InvalidReceipt):
                continue
            if receipt.verify(taken, key).ok:
                assert json.loads(flipped) == same, (place, bit)
                harmless += 1
    assert harmless == 0


async def test_every_part_taken_away_or_doubled_is_seen(made):
    _, proof, key, _ = made
    fields = json.loads(proof.text)
    for name in fields:
        with pytest.raises(InvalidReceipt):
            receipt.parse(json.dumps({other: value for other, value in fields.items() if other != name}))
    with pytest.raises(InvalidReceipt):
        receipt.parse(json.dumps(fields | {"more": 1}))
    with pytest.raises(InvalidReceipt):
        receipt.parse(proof.text.replace('"index"', '"index": 40,\n "index"', 1))
    for proof_part in range(len(fields["proof"])):
        shorter = fields["proof"][:proof_part] + fields["proof"][proof_part + 1 :]
        assert not receipt.verify(receipt.parse(json.dumps(fields | {"proof": shorter})), key).ok
    assert not receipt.verify(receipt.parse(json.dumps(fields | {"index": True} | {"index": 41})), key).ok


async def test_evidence_that_the_entry_does_not_bind_is_refused(made, audit):
    entry_id, proof, key, _ = made
    with pytest.raises(InvalidInput):
        await audit.receipt(entry_id, {"policy": {"rules": []}})
    with pytest.raises(InvalidInput):
        await audit.receipt(entry_id, {"unknown": POLICY})
    fields = json.loads(proof.text)
    fields["evidence"]["policy"]["rules"].append("more")
    assert not receipt.verify(receipt.parse(json.dumps(fields)), key).ok


async def test_chosen_openings_leave_the_rest_redacted(made, audit):
    entry_id, _, key, _ = made
    few = await audit.receipt(entry_id, {}, names={"choice"})
    verdict = receipt.verify(receipt.parse(few.text), key)
    assert verdict.ok
    assert set(verdict.redacted) == {"acts", "actor", "policy", "propensity", "ref.decision", "ref.model"}
    assert "dec_x" not in few.text


async def test_after_erasure_old_receipts_verify_and_new_ones_are_redacted(made, audit, kernel, act):
    entry_id, proof, key, key_id = made
    await kernel.vault.destroy([key_id])
    await act(5)
    await audit.sequence()
    assert receipt.verify(proof, key).trusted
    later = await audit.receipt(entry_id, {"policy": POLICY})
    assert (later.openings, later.evidence) == ({}, {})
    verdict = receipt.verify(receipt.parse(later.text), key)
    assert verdict.trusted
    assert "policy: redacted, integrity proven" in verdict.lines


@given(
    st.one_of(st.text(), st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=5).map(json.dumps))
)
@settings(max_examples=200)
def test_no_text_makes_the_reader_fall(text):
    with contextlib.suppress(InvalidReceipt):
        receipt.parse(text)


async def test_fields_of_wrong_types_are_refused_not_stumbled_over(made):
    _, proof, key, _ = made
    fields = json.loads(proof.text)
    for name in fields:
        for odd in (None, 1, "x", [], {}, [1], {"a": 1}, [[]], True, 1.5, "\ud800"):
            try:
                taken = receipt.parse(json.dumps(fields | {name: odd}))
            except InvalidReceipt:
                continue
            assert not receipt.verify(taken, key).ok or (name in {"evidence", "openings"} and odd == {})


def test_an_unreadable_file_is_a_verdict(tmp_path):
    for content in (None, b"", b"\xff\xfe", b"[]", b"{}" * 3):
        file = tmp_path / "receipt"
        if content is not None:
            file.write_bytes(content)
        assert not receipt.verify_file(file).ok


def test_verifying_needs_no_store_and_starts_fast():
    """Imported in a bare interpreter: no driver, no web framework, no settings, and under half a second."""
    code = (
        "import sys, time; began = time.perf_counter(); import audit.receipt, audit.merkle, audit.checkpoint; "
        "took = time.perf_counter() - began; "
        "heavy = {'psycopg', 'redis', 'fastapi', 'pydantic', 'sqlalchemy', 'structlog', 'alembic'} & set(sys.modules); "
        "print(sorted(heavy), took)"
    )
    best = 9.0
    for _ in range(3):  # the machine may be busy: the best of three says what the code costs
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        heavy, took = done.stdout.rsplit(" ", 1)
        assert heavy == "[]"
        best = min(best, float(took))
    assert best < 0.5
