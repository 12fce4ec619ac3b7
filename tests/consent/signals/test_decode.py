"""Consent strings decode as the public suites say, through the command line; what is cut or changed never says more than it did."""

import base64
import contextlib
import io
import json
import sys
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consent.signals import gpp, tcf
from consent.signals.bits import LONGEST, Bits, from_base64url
from consent.signals.errors import Undecodable, Why
from orchestration.service.cli import consent_decode
from tests.support.shared import shared_path

PURPOSES_AT = 152  # bit of the first purpose in the core of version 2
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
CORE = "COtybn4PA_zT4KjACBENAPCIAEBAAECAAIAAAAAAAAAA"
WHOLE = "COrEAV4OrXx94ACABBENAHCIAD-AAAAAAACAAxAAAAgAIAwgAgAAAAEAgQAAAAAEAYQAQAAAACAAAABAAA.IBAgAAAgAIAwgAgAAAAEAAAACA"


def cases(kind: str) -> dict:
    return json.loads(shared_path(f"cases/{kind}.json").read_text())


def through_cli(
    command: Callable[..., None], lines: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[dict]:
    """What `candor consent decode-… -` prints for these lines."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("".join(f"{line}\n" for line in lines).encode())))
    command("-")
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_tc_strings_of_the_shared_cases(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = cases("tcf")
    answers = through_cli(consent_decode.decode_tcf, [c["string"] for c in told["valid"]], monkeypatch, capsys)
    assert answers == [{"ok": True, "decoded": c["decoded"]} for c in told["valid"]]
    refused = through_cli(consent_decode.decode_tcf, [c["string"] for c in told["invalid"]], monkeypatch, capsys)
    assert [a["error"] for a in refused] == ["truncated", "truncated", "unsupported_version", "empty"]


def test_gpp_strings_of_the_shared_cases(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    told = cases("gpp")
    answers = through_cli(consent_decode.decode_gpp, [c["string"] for c in told["valid"]], monkeypatch, capsys)
    assert answers == [
        {"ok": True, "decoded": {"sectionIds": c["sectionIds"], "sections": c["sections"]}} for c in told["valid"]
    ]
    refused = through_cli(consent_decode.decode_gpp, [c["string"] for c in told["invalid"]], monkeypatch, capsys)
    assert [a["ok"] for a in refused] == [False] * 4


def test_gpp_sections_of_the_shared_cases(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for case in cases("gpp")["sections"]:
        (answer,) = through_cli(
            lambda where, name=case["section"]: consent_decode.decode_gpp_section(name, where),
            [case["string"]],
            monkeypatch,
            capsys,
        )
        assert answer == {"ok": True, "decoded": case["decoded"]}, case["string"]


def test_headers_and_fibonacci_of_the_shared_cases() -> None:
    told = cases("gpp")
    for case in told["headers"]["cases"]:
        for written in {case["header"], case.get("also", case["header"])}:  # both paddings
            assert gpp.header(written) == case["ids"], written
    for case in told["fibonacci"]["cases"]:
        assert Bits(case["bits"]).fibonacci() == case["n"]
    for case in told["fibonacci_ranges"]["cases"]:
        assert Bits(case["bits"]).fibonacci_range() == case["ids"]
    for bits in told["fibonacci_ranges"]["invalid"]:
        with pytest.raises(Undecodable):
            Bits(bits).fibonacci_range()


def core(*, vendors: str = "0" * 17, interests: str = "0" * 17, restrictions: str = "0" * 12, head: str = "") -> str:
    """A core of version 2 with these bits in place of its ranges."""
    fixed = head or "".join(f"{ALPHABET.index(letter):06b}" for letter in CORE)[:213]
    bits = fixed + vendors + interests + restrictions
    bits += "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(bits[at : at + 6], 2)] for at in range(0, len(bits), 6))


def number(value: int, width: int = 16) -> str:
    return f"{value:0{width}b}"


REFUSED = {
    "cut in the core": (WHOLE[:60], Why.TRUNCATED),
    "cut in a segment": (WHOLE[:-8], Why.TRUNCATED),
    "a bit left over": (CORE + "B", Why.TRAILING),
    "an empty segment": (CORE + ".", Why.EMPTY),
    "a segment of no known type": (CORE + ".gAAA", Why.UNKNOWN_SEGMENT),
    "a core twice": (f"{CORE}.{CORE}", Why.UNKNOWN_SEGMENT),
    "a segment twice": (f"{WHOLE}.IAAA", Why.REPEATED_SEGMENT),
    "a letter that is none": (CORE.replace("ENA", "E-A"), Why.NOT_A_LETTER),
    "white space": (f" {CORE}", Why.NOT_BASE64URL),
    "plain base64": (CORE.replace("_", "/"), Why.NOT_BASE64URL),
    "padding of no use": (CORE + "=", Why.NOT_BASE64URL),
    "vendors beyond the highest": (
        core(vendors=number(5) + "1" + number(1, 12) + "0" + number(6)),
        Why.BAD_RANGE,
    ),
    "vendors from high to low": (
        core(vendors=number(9) + "1" + number(1, 12) + "1" + number(5) + number(4)),
        Why.BAD_RANGE,
    ),
    "vendor nought": (core(vendors=number(9) + "1" + number(1, 12) + "0" + number(0)), Why.BAD_RANGE),
    "more ids than anyone means": (
        core(restrictions=number(9, 12) + (number(1, 6) + "00" + number(1, 12) + "1" + number(1) + number(65535)) * 9),
        Why.TOO_LONG,
    ),
    "a text without end": ("C" * (LONGEST + 1), Why.TOO_LONG),
    "version 3": ("D" + CORE[1:], Why.UNSUPPORTED_VERSION),
    "version 1 with segments": ("BOOzQoAOOzQoAAPAFSENCW-AIBACCACgACADIAHg.IAAA", Why.UNKNOWN_SEGMENT),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_tc_string_that_libraries_would_read_is_refused(name: str) -> None:
    text, why = REFUSED[name]
    with pytest.raises(Undecodable) as fault:
        tcf.decode(text)
    assert fault.value.why is why


def test_publisher_restrictions_and_ranges() -> None:
    entry = number(3, 6) + "01" + number(2, 12) + "0" + number(2) + "1" + number(4) + number(6)
    said = tcf.decode(
        core(
            vendors=number(700) + "1" + number(1, 12) + "1" + number(698) + number(700),
            restrictions=number(1, 12) + entry,
        )
    )
    assert said.vendors == (698, 699, 700)
    assert said.as_json()["publisherRestrictions"] == [
        {"purposeId": 3, "restrictionType": 1, "vendorIds": [2, 4, 5, 6]}
    ]


def test_version_1_with_a_default_of_yes() -> None:
    """The listed vendors are those without consent."""
    said = tcf.decode("BOOzQoAOOzQoAAPAFSENCW-AIBACDACAADABkAHg")
    assert said.vendors == (*range(2, 25), 31, 32)


GPP_REFUSED = {
    "a section too few": ("DBABTA", Why.SECTIONS_MISMATCH),
    "a section too many": ("DBABTA~1YNN~1YNN", Why.SECTIONS_MISMATCH),
    "a section nobody knows": ("DBABzw~1YNN", None),
    "not a header": ("CBABTA~1YNN", Why.BAD_TYPE),
    "another version": ("DCABTA~1YNN", Why.UNSUPPORTED_VERSION),
    "a US Privacy string of small letters": ("DBABTA~1ynn", Why.BAD_FIELD),
    "a cut section": ("DBABLA~CVVVkkkkk", Why.TRUNCATED),
    "bits left over": ("DBABLA~CAAAAAAAAQAB.QA", Why.TRAILING),
    "a sub-section of no type": ("DBABLA~BAAAVVVVUQA.AA", Why.UNKNOWN_SEGMENT),
    "a sub-section twice": ("DBABLA~BAAAVVVVUQA.QA.YA", Why.REPEATED_SEGMENT),
    "an empty section": ("DBABLA~", Why.EMPTY),
    "nothing": ("", Why.EMPTY),
}


@pytest.mark.parametrize("name", GPP_REFUSED)
def test_a_gpp_string_that_libraries_would_read_is_refused(name: str) -> None:
    text, why = GPP_REFUSED[name]
    with pytest.raises(Undecodable) as fault:
        gpp.decode(text)
    assert why is None or fault.value.why is why


@pytest.mark.parametrize("text", ["BAAAVVVVUQ", "BAAAVVVVUQA"])
def test_both_paddings_of_a_section_read_alike(text: str) -> None:
    assert gpp.decode_section("usnat", text) == gpp.decode_section("usnat", "BAAAVVVVUQA")


def test_a_file_of_strings_keeps_its_lines(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    """Odd bytes are a string that cannot be read, an empty line is an empty string, a missing last line end is no line more."""
    file = tmp_path / "strings"
    file.write_bytes(b"1YNN\r\n\n\xff\xfe\n1---")
    consent_decode.decode_gpp_section("uspv1", str(file))
    answers = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [a.get("error", "read") for a in answers] == ["read", "empty", "bad_field", "read"]


# whatever comes


@st.composite
def mutated(draw: st.DrawFn, seeds: list[str]) -> str:
    """One of these with letters changed, taken out, put in, or cut off."""
    letters = list(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(letters) - 1, 0)))
        match draw(st.sampled_from(["change", "drop", "insert", "cut"])):
            case "change" if letters:
                letters[at] = draw(st.sampled_from(ALPHABET + ".~=+ é"))
            case "drop" if letters:
                del letters[at]
            case "insert":
                letters.insert(at, draw(st.sampled_from(ALPHABET + ".~=")))
            case _:
                letters = letters[:at]
    return "".join(letters)


def bit_set(text: str, at: int) -> bool:
    """Whether this bit is set, read by another road than the decoder's."""
    first = text.split(".", maxsplit=1)[0].rstrip("=")
    raw = base64.urlsafe_b64decode(first + "A" * (-len(first) % 4))
    return bool(raw[at // 8] & (0x80 >> at % 8))


@given(mutated([CORE, WHOLE, "BOOzQoAOOzQoAAPAFSENCW-AIBACDACAADABkAHg", f"{WHOLE}.cAAAAAAAITg="]))
@example("")
def test_a_changed_tc_string_shows_no_purpose_whose_bit_is_not_set(text: str) -> None:
    try:
        said = tcf.decode(text)
    except Undecodable:
        return
    at = PURPOSES_AT if said.version == 2 else 132
    for purpose in said.purposes:
        assert bit_set(text, at + purpose - 1)


@given(
    mutated(["DBACNYA~CPSG_8APSG_8ANwAAAENAwCgAAAAAAAAAAAAAAAAAAAA.IAAA.YAAAAAAAAAAA~1YNN", "DBABLA~CVVVkkkkkpFY.YA"])
)
def test_a_changed_gpp_string_never_crashes(text: str) -> None:
    try:
        said = gpp.decode(text)
    except Undecodable:
        return
    assert len(said.ids) == len(said.sections)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    for decode in (tcf.decode, gpp.decode, lambda t: gpp.decode_section("tcfcav1", t)):
        with contextlib.suppress(Undecodable):
            decode(text)


@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_tc_string_is_refused_unless_it_ends_with_a_segment(at: int) -> None:
    text = WHOLE[:at]
    if text == WHOLE.split(".", maxsplit=1)[0] or not set(WHOLE[at:].split(".", maxsplit=1)[0]) - {"A"}:
        return  # whole segments, or only padding is gone
    with pytest.raises(Undecodable):
        tcf.decode(text)


def test_bits_are_zeroes_and_ones() -> None:
    with pytest.raises(Undecodable):
        Bits("012")
    assert len(from_base64url("AA")) == 12
