"""No personal data and no secret in any log line."""

import json
import logging

import pytest

from kernel import log
from kernel.errors import InvalidInput
from kernel.ids import new_id

CANARIES = (
    "ada.lovelace@example.org",
    "+49 170 1234567",
    "0170-1234567",
    "Lovelace",
    "hunter2-password",
    "postgresql://candor_app:hunter2-password@db.example.org/candor",
    "Bearer abcdefghijklmnop",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc",
)


@pytest.fixture
def lines(capsys):
    root = logging.getLogger()
    level = root.level
    log.configure("debug")

    def read():
        text = capsys.readouterr().err
        return [json.loads(line) for line in text.splitlines()]

    yield read
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, log._Stderr)]
    root.setLevel(level)


def said(found):
    return json.dumps(found, ensure_ascii=False)


@pytest.mark.parametrize("canary", CANARIES)
def test_a_canary_never_comes_through_any_way(lines, canary):
    logger = log.get_logger("consent")
    logger.info("act", email=canary, name=f"x {canary}" if canary != "Lovelace" else "x", anything=canary)
    logger.info("act", nested={"whatever": [canary, {"deep": canary}]}, token=canary, url=canary)
    try:
        raise ValueError(canary)
    except ValueError:
        logger.exception("broke")
    try:
        raise InvalidInput("expected a, got b") from KeyError(canary)
    except InvalidInput:
        logger.warning("broke", exc_info=True)
    if canary != "Lovelace":  # a bare name in another library's sentence has no pattern; we do not hand names to them
        logging.getLogger("some.library").warning("could not: %s", canary)
        log.get_logger("x").info(f"event {canary}")
    found = lines()
    assert len(found) >= 4
    secret_part = {"postgresql://candor_app:hunter2-password@db.example.org/candor": "hunter2"}.get(canary, canary)
    for line in found:
        if canary == "hunter2-password" and line["logger"] in {"some.library", "x"}:
            continue  # likewise: a bare word is no pattern
        if canary == "hunter2-password" and "name" in line:
            line.pop("name")
        assert secret_part not in said(line), line


def test_ids_digests_numbers_and_our_own_words_come_through(lines):
    person = new_id("per")
    log.get_logger("consent").info(
        "recorded", person=person, digest="sha256:" + "ab" * 32, n=3, ok=True, reason="expired"
    )
    (line,) = lines()
    assert line["person"] == person
    assert line["digest"] == "sha256:" + "ab" * 32
    assert (line["n"], line["ok"], line["reason"], line["event"], line["logger"]) == (
        3,
        True,
        "expired",
        "recorded",
        "consent",
    )


def test_our_errors_are_told_and_foreign_ones_only_named(lines):
    logger = log.get_logger("x")
    try:
        raise InvalidInput("expected 3, got 4", code="three")
    except InvalidInput:
        logger.exception("refused")
    try:
        {}["secret words"]
    except KeyError:
        logger.exception("broke")
    ours, foreign = lines()
    assert (ours["code"], ours["error_message"]) == ("three", "expected 3, got 4")
    assert foreign["error_type"] == "KeyError"
    assert "test_log.py" in foreign["stack"]
    assert "secret words" not in said(foreign)


def test_a_key_that_names_a_person_cannot_be_allowed():
    with pytest.raises(ValueError, match="email"):
        log.allow("contact_email")


def test_times_and_versions_are_not_taken_for_phone_numbers():
    for text in (
        "2026-11-21T03:58:26.420158Z",
        "version 0.165.0",
        "took 123456789 ns",
        "per_01M7Y42S3MJ01DGAH4SGFP6G66",
    ):
        assert log.redact(text) == text


def test_another_handler_gets_no_exception_to_print(lines, caplog):
    try:
        raise ValueError("ada.lovelace@example.org")
    except ValueError:
        log.get_logger("x").exception("broke")
    assert [record.exc_info for record in caplog.records] == [None]
    assert "ada" not in caplog.text
