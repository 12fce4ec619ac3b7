"""Figures: names and labels are checked when they are made, stages add up without counting twice, the alarm names no person."""

import asyncio
import json
import secrets

import pytest

from kernel import log, metrics


def name(suffix: str = "") -> str:
    return f"candor_test_{secrets.token_hex(4)}{suffix}"


def value(line: str) -> float:
    found = [row for row in metrics.render().decode().splitlines() if row.startswith(line + " ")]
    return float(found[0].rsplit(" ", 1)[1]) if found else 0.0


def test_a_count_is_rendered_with_its_labels():
    made = name("_total")
    metrics.counter(made, "Things.", ["kind"]).labels("round").inc(3)
    assert value(f'{made}{{kind="round"}}') == 3
    assert metrics.Described(made, "counter", ("kind",), "Things.") in metrics.described()


@pytest.mark.parametrize("wrong", ["things_total", "candor_things"])
def test_a_name_has_our_prefix_and_a_counter_its_ending(wrong: str):
    with pytest.raises(ValueError, match="expected a name"):
        metrics.counter(wrong, "Things.")


@pytest.mark.parametrize("label", ["person", "identifier", "decision", "email", "key", "visitor"])
def test_a_label_that_names_somebody_is_refused(label: str):
    with pytest.raises(ValueError, match="labels that name nobody"):
        metrics.gauge(name(), "Things.", ["channel", label])


def test_an_unknown_stage_is_refused():
    with pytest.raises(ValueError, match="one of the stages"):
        metrics.stage("think")


def test_a_stage_inside_another_is_not_counted_twice(monkeypatch: pytest.MonkeyPatch):
    ticks = iter([0.0, 1.0, 2.0, 5.0, 9.0, 10.0, 10.0])
    monkeypatch.setattr(metrics, "_now", lambda: next(ticks))
    with metrics.timed() as held:  # 0
        with metrics.stage("decide"), metrics.stage("profile"):  # 1; 2 to 5
            pass
        assert held.stages == {"profile": 3.0, "decide": 5.0}  # 1 to 9 less 3
        assert held.header() == "profile;dur=3000.0, decide;dur=5000.0, total;dur=10000.0"


@pytest.mark.anyio
async def test_requests_at_once_have_stages_of_their_own():
    async def request(stages: list[str]) -> set[str]:
        with metrics.timed() as held:
            for one in stages:
                with metrics.stage(one):
                    await asyncio.sleep(0)
            return set(held.stages)

    assert await asyncio.gather(request(["capture"]), request(["profile", "decide"])) == [
        {"capture"},
        {"profile", "decide"},
    ]


def test_a_stage_that_raises_is_counted_and_the_outer_one_goes_on():
    before = value('candor_stage_seconds_count{stage="render"}')
    with metrics.timed() as held:
        with pytest.raises(KeyError), metrics.stage("decide"), metrics.stage("render"):
            raise KeyError
        with metrics.stage("capture"):
            pass
    assert set(held.stages) == {"decide", "render", "capture"}
    assert value('candor_stage_seconds_count{stage="render"}') == before + 1


def test_over_half_a_second_the_alarm_is_raised_without_a_word_of_anybody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    log.configure("info")
    alarms, totals = value("candor_budget_alarms_total"), value('candor_stage_seconds_count{stage="total"}')
    ticks = iter([0.0, 0.0, 0.4, 0.6, 0.6, 10.0, 10.0, 10.1, 10.2])
    monkeypatch.setattr(metrics, "_now", lambda: next(ticks))
    with metrics.timed(request_id="rqs_01J00000000000000000000000") as held:
        held.route = "/v1/decisions"
        with metrics.stage("decide"):
            pass
    assert value("candor_budget_alarms_total") == alarms + 1
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (line["event"], line["ms"], line["decide_ms"], line["route"]) == (
        "budget_exceeded",
        600.0,
        400.0,
        "/v1/decisions",
    )
    assert set(line) <= {"event", "ms", "decide_ms", "route", "request_id", "level", "logger", "timestamp"}
    ticks = iter([10.0, 10.0, 10.1, 10.2])
    monkeypatch.setattr(metrics, "_now", lambda: next(ticks))
    with metrics.timed(), metrics.stage("decide"):
        pass
    assert value("candor_budget_alarms_total") == alarms + 1
    assert value('candor_stage_seconds_count{stage="total"}') == totals + 2


def test_a_request_without_a_stage_has_no_budget():
    before = value('candor_stage_seconds_count{stage="total"}')
    with metrics.timed():
        pass
    assert value('candor_stage_seconds_count{stage="total"}') == before
