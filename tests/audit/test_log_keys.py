"""Log keys rotate and are revoked: old receipts verify, one under a revoked key is said to be, and its entry is proved anew."""

import pytest

from audit import keylist, receipt
from audit.errors import InvalidNote, UnknownLogKey
from audit.keylist import KeyState
from audit.note import SignerKey

pytestmark = pytest.mark.anyio


async def proved(audit, entry_id):
    await audit.sequence()
    return await audit.receipt(entry_id, {})


async def states(audit):
    return {number: str(one.state) for number, one in (await audit.keys()).items()}


async def test_receipts_of_before_and_after_a_rotation_verify_with_the_list(audit, act):
    (first,) = await act(1)
    old = await proved(audit, first)
    new_key = await audit.rotate_key("stf_ada")
    (second,) = await act(1)
    new = await proved(audit, second)
    old_key, _ = await audit.verifier_keys()
    listed = await audit.key_list()
    assert await states(audit) == {1: "earlier", 2: "current"}
    assert receipt.verify(old, old_key.text).trusted
    assert receipt.verify(new, new_key.text).trusted
    assert not receipt.verify(old, new_key.text).trusted
    for made in (old, new):
        for trusted in (old_key, new_key):
            assert receipt.verify(made, trusted.text, listed).trusted
    assert any("earlier key" in line for line in receipt.verify(old, new_key.text, listed).lines)


@pytest.mark.parametrize("which", [1, 2])
async def test_a_receipt_under_a_revoked_key_is_said_to_be_and_its_entry_is_proved_anew(audit, act, which):
    (first,) = await act(1)
    made = {1: await proved(audit, first)}
    await audit.rotate_key("stf_ada")
    (second,) = await act(1)
    made[2] = await proved(audit, second)
    keys = await audit.keys()
    listed = await audit.revoke_key(which, "laptop stolen", actor="stf_ada")
    now = await audit.keys()
    assert now[which].state is KeyState.REVOKED
    (current,) = [one.key for one in now.values() if one.state is KeyState.CURRENT]
    assert current != keys[which].key
    verdict = receipt.verify(made[which], current.text, listed)
    assert not verdict.ok
    assert any("revoked at" in line and "laptop stolen" in line for line in verdict.lines)
    other = 3 - which
    assert receipt.verify(made[other], current.text, listed).trusted
    anew = await audit.receipt({1: first, 2: second}[which], {})
    assert receipt.verify(anew, current.text, listed).trusted
    assert anew.leaf == made[which].leaf
    assert (await audit.verify_log()).ok
    folder = audit.published.folder.parent / "keys"
    assert not (folder / f"log-{which:04d}.skey").exists()
    assert await audit.revoke_key(which, "again", actor="stf_ada"), "done already: done"
    assert (await audit.keys())[which].reason == "laptop stolen"
    with pytest.raises(UnknownLogKey):
        await audit.revoke_key(9, "none", actor="stf_ada")


async def test_a_list_that_a_stranger_signed_is_not_believed(audit, act):
    (first,) = await act(1)
    made = await proved(audit, first)
    (key,) = await audit.verifier_keys()
    stranger = SignerKey.generate(key.name)
    forged = keylist.write(key.name, list((await audit.keys()).values()), [stranger])
    with pytest.raises(InvalidNote):
        keylist.read(forged, key)
    verdict = receipt.verify(made, key.text, forged)
    assert not verdict.ok
    elsewhere = receipt.verify(made, stranger.verifier.text, keylist.write(key.name, [keylist.LogKey(stranger.verifier, KeyState.CURRENT)], [stranger]))  # fmt: skip
    assert not elsewhere.ok
    assert any("not in the log's list" in line for line in elsewhere.lines)


async def test_a_revocation_that_was_cut_off_counts_and_is_ended(audit, act, monkeypatch):
    await act(1)
    await audit.sequence()
    folder = audit.published.folder.parent / "keys"
    (key,) = await audit.verifier_keys()
    (folder / "log-0001.revoked").write_text(f"{key.text}\n2026-01-01T00:00:00Z\nstolen\n")
    assert await states(audit) == {1: "revoked", 2: "current"}
    await audit.revoke_key(1, "stolen", actor="stf_ada")
    assert not (folder / "log-0001.skey").exists()
