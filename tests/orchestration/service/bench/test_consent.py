"""The measurement of consent finds nothing in the house as it is, and what is wrong in one that is spoilt."""

import pytest

from consent import gate
from consent.signals import meaning
from orchestration.service.bench import consent, consent_histories, consent_races


def test_spoilt_strings_are_a_no_and_the_gate_is_asked_different_questions() -> None:
    report = consent.run(spoilt=500, evaluations=4_000)
    assert [(one.crashed, one.unset, one.loose) for one in report.spoilt] == [(0, 0, 0)] * 6
    assert all(0 < one.read < one.strings for one in report.spoilt)
    assert report.evaluations >= 4_000
    assert {"consent.granted", "consent.missing", "directive.gpc", "signal.undecodable"} <= report.reasons.keys()
    assert [bar.ok for bar in report.bars[:3]] == [True] * 3


def test_a_reading_that_is_too_generous_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meaning, "_chosen", lambda said, vendor: frozenset(range(1, 12)))
    report = consent.run(spoilt=200, evaluations=100)
    assert not report.bars[1].ok


def test_a_decoder_that_crashes_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(text: str) -> None:
        raise IndexError(len(text))

    monkeypatch.setattr(meaning.tcf, "decode", crash)
    assert not consent.run(spoilt=50, evaluations=100).bars[0].ok


@pytest.mark.anyio
async def test_nothing_is_sent_after_a_withdrawal_was_acknowledged() -> None:
    races = await consent_races.run(races=40)
    assert (races.late, races.permitted, races.sent + races.withheld, races.withdrawal.n) == (0, 0, 40, 40)
    bars = consent.run(spoilt=5, evaluations=50, races=races).bars
    assert [bar.got for bar in bars[-3:-1]] == [0, 0]


@pytest.mark.anyio
async def test_random_histories_read_learn_decide_export_and_send_nothing_forbidden() -> None:
    lived = await consent_histories.run(people=12, rounds=2)
    assert dict.fromkeys(consent_histories.ROOMS, 0) == lived.forbidden
    assert min(lived.given.values()) > 0
    assert min(lived.merges, lived.splits) > 0
    assert lived.strict == 0
    bars = consent.run(spoilt=5, evaluations=50, histories=lived).bars
    assert [bar.ok for bar in bars[-6:]] == [True] * 6


@pytest.mark.anyio
async def test_doors_that_forget_to_ask_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A no that anything lifts is a no that every door lets through."""
    monkeypatch.setattr(gate, "_lifted", lambda denial, grants, rules: True)
    lived = await consent_histories.run(people=12, rounds=1)
    assert all(lived.forbidden[room] for room in ("features", "decisions", "exports", "sends"))
