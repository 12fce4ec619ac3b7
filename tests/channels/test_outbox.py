"""The outbox: one whole file per delivery, readable by a mail program, private to its owner."""

import threading
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import SMTP

import pytest

from channels import conformance
from channels.connector import Answer
from channels.outbox import connector as outbox

AT = datetime(2026, 3, 1, 23, 59, tzinfo=UTC)
LATER = AT + timedelta(minutes=5)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_the_same_delivery_leaves_one_file_even_across_midnight(tmp_path) -> None:
    box = outbox.OutboxConnector(tmp_path)
    message = conformance.sample("ada@example.org", AT)
    for now in (AT, LATER):
        answer = await box.send(message, message.delivery_id, now)
        assert answer.answer is Answer.ACCEPTED
    (file,) = tmp_path.rglob("*.eml")
    assert file == tmp_path / "2026-03-01" / f"{message.delivery_id}.eml"
    assert file.stat().st_mode & 0o077 == 0
    mail = message_from_bytes(file.read_bytes(), policy=SMTP)
    assert mail["To"] == "ada@example.org"
    assert mail["Message-ID"] == f"<{message.delivery_id}@candor.invalid>"


def test_parallel_writers_leave_one_whole_file(tmp_path) -> None:
    target = tmp_path / "2026-03-01" / "dlv_x.eml"
    target.parent.mkdir()
    words = b"x" * 100_000
    threads = [threading.Thread(target=outbox._write_once, args=(target, words)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == words
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_a_crash_while_writing_leaves_no_message(tmp_path, monkeypatch) -> None:
    target = tmp_path / "2026-03-01" / "dlv_x.eml"

    def power_cut(_handle: int) -> None:
        raise OSError

    monkeypatch.setattr(outbox.os, "fsync", power_cut)
    with pytest.raises(OSError):
        outbox._write_once(target, b"half")
    assert not target.exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "dlv_1", "", "dlv_" + "/" * 26])
def test_only_a_delivery_id_names_a_file(tmp_path, name: str) -> None:
    with pytest.raises(ValueError, match="delivery id"):
        outbox.OutboxConnector(tmp_path).path(name, AT)


@pytest.mark.anyio
@pytest.mark.parametrize("to", ["a@b\r\nBcc: c@d", "a b@c", "", "a@b, c@d"])
async def test_an_address_that_is_none_is_rejected(tmp_path, to: str) -> None:
    from dataclasses import replace

    message = replace(conformance.sample("x@example.org", AT), to=to)
    answer = await outbox.OutboxConnector(tmp_path).send(message, message.delivery_id, LATER)
    assert answer.answer is Answer.REJECTED
    assert list(tmp_path.rglob("*")) == []
