"""A plain hash of an address is the address, to anybody with a list of addresses: identifiers are hashed by the vault, under a key (consent.K6)."""

import ast
import re

import pytest

from tests.house.tree import imports, inside, sources, tree

# Every file that hashes by itself, and what. A new one is a question first: can what goes in be guessed by somebody who has the hash?
PLAIN = {
    "audit/access/secrets.py": "API keys of 256 random bits",
    "audit/entries.py": "values behind a salt of their own, which goes with the entry's key",
    "audit/merkle.py": "leaves and nodes of the tree",
    "audit/note.py": "public keys",
    "audit/receipt.py": "public keys",
    "channels/email/reports.py": "a provider's report without the address",
    "channels/push/encryption.py": "names of decisions and placements, as a push service's topic",
    "channels/push/subscriptions.py": "a push service's endpoint, random by its making, within the sealed record",
    "channels/web/script.py": "our own script",
    "consent/acts.py": "texts of notices",
    "consent/ledger.py": "a keyed hash once more, behind a salt",
    "consent/rights/bundle.py": "files of a package, listed inside the sealed package",
    "consent/rights/checks.py": "evidence behind a salt",
    "consent/rights/copies.py": "copies of the keys database, in which everything is wrapped",
    "consent/rights/parcels.py": "sealed packages",
    "events/importer.py": "whole files",
    "events/ingest.py": "words, within the sealed record and under a keyed hash",
    "events/rows.py": "rows, hashed with a key before they are stored",
    "kernel/canonical.py": "canonical bytes; what goes in is the caller's to answer for: see the test below",
    "kernel/engines/postgres.py": "the path of a folder",
    "kernel/letters.py": "public keys",
    "kernel/tokens.py": "keyed",
    "kernel/vault.py": "keyed",
    "orchestration/decision/inputs.py": "inputs of a decision, pseudonymous",
    "orchestration/decision/items.py": "items of the catalogue",
    "orchestration/decision/policy.py": "seeds",
    "orchestration/decision/record.py": "records of decisions, pseudonymous",
    "orchestration/decision/tallies.py": "pairs of items",
    "orchestration/learning/assignment.py": "ids of people behind a secret word of the experiment",
    "orchestration/learning/gbm.py": "models",
    "orchestration/learning/registry.py": "models",
    "orchestration/learning/training.py": "training sets, pseudonymous",
    "orchestration/service/console/guard.py": "keyed",
    "orchestration/service/console/rendering.py": "our own stylesheet",
    "profiles/embedding.py": "things of a shop, each as one of a few corners that it shares with many",
    "profiles/hot.py": "ids",
    "profiles/store.py": "feature rows under pseudonymous ids",
}
KEYED = {"kernel/tokens.py", "kernel/vault.py", "orchestration/service/console/guard.py"}
PERSONAL = re.compile(
    r"(?<![a-z])(email|e_mail|phone|address|login|contact|identifier|normalised|anonymous_id|national_id)(?![a-z])"
)


def test_every_file_that_hashes_by_itself_is_known() -> None:
    found = {
        inside(p) for p in sources() if {"hashlib", "hashlib.sha256"} & {n.removesuffix(".sha256") for n in imports(p)}
    }
    assert found == set(PLAIN), "add the file with what it hashes, or use Vault.blind_index or Vault.pepper"


@pytest.mark.parametrize("name", sorted(KEYED))
def test_what_is_said_to_be_keyed_calls_hmac_and_nothing_else(name: str) -> None:
    (path,) = [p for p in sources() if inside(p) == name]
    calls = [ast.unparse(n.func) for n in ast.walk(tree(path)) if isinstance(n, ast.Call)]
    assert {"hmac.digest", "hmac.new"} & set(calls)
    assert not [one for one in calls if one.startswith("hashlib.")]


def test_nobody_hashes_an_identifier_without_a_key() -> None:
    """By name: an argument of a hash that speaks of a contact, unless a vault's keyed hash is what goes in."""
    hashes = re.compile(r"(^|\.)(sha\d+|blake2[bs]|md5|digest|new)$")
    guilty = []
    for path in sources():
        for node in ast.walk(tree(path)):
            if (
                not isinstance(node, ast.Call)
                or not hashes.search(name := ast.unparse(node.func))
                or name.startswith("hmac.")
            ):
                continue
            said = " ".join(ast.unparse(one) for one in [*node.args, *(k.value for k in node.keywords)])
            if PERSONAL.search(said) and "pepper" not in said and "blind_index" not in said:
                guilty.append(f"{inside(path)}:{node.lineno} {name}({said})")
    assert guilty == []


def test_no_query_hashes_an_identifier() -> None:
    query = re.compile(r"\b(md5|sha256|sha512|digest|hashtext\w*)\s*\(([^)]*)\)", re.IGNORECASE)
    guilty = [
        f"{inside(p)}:{node.lineno}"
        for p in sources()
        for node in ast.walk(tree(p))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and (m := query.search(node.value)) and PERSONAL.search(m.group(2))
    ]  # fmt: skip
    assert guilty == []
