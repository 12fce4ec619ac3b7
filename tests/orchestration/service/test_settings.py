"""The settings tree: every field described, unknown names refused with the nearest known one, short forms, the file."""

import os

import pytest

from orchestration.settings import SHORT, UnknownSetting, described, load


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    """No settings from outside."""
    for name in [name for name in os.environ if name.startswith("CANDOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_every_field_is_described_in_a_sentence() -> None:
    rows = described()
    assert len(rows) > 60
    assert [(s, f) for s, f, words in rows if len(words.split()) < 3] == []
    assert len({(s, f) for s, f, _ in rows}) == len(rows)


def test_the_defaults_run_on_one_machine() -> None:
    settings = load()
    assert settings.kernel.database_url is None
    assert settings.kernel.bind == "127.0.0.1"


def test_an_unknown_name_is_an_error_with_the_nearest_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_DATABASE_URI", "postgresql://ada:secret@db/x")
    monkeypatch.setenv("CANDOR_KERNEL__PROT", "1")
    with pytest.raises(UnknownSetting) as caught:
        load()
    reasons = {fault.pointer: fault.reason for fault in caught.value.problems}
    assert reasons["CANDOR_DATABASE_URI"].endswith("did you mean CANDOR_DATABASE_URL?")
    assert reasons["CANDOR_KERNEL__PROT"].endswith("did you mean CANDOR_KERNEL__PORT?")
    assert "secret" not in str(caught.value)
    assert caught.value.remedy


def test_an_inner_section_is_described_and_its_names_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {f"CANDOR_{section}__{field}".upper() for section, field, _ in described()}
    assert "CANDOR_CHANNELS__SENDGRID__WEBHOOK_PUBLIC_KEYS" in names
    monkeypatch.setenv("CANDOR_CHANNELS__SENDGRID__API_KEI", "SG.secret")
    with pytest.raises(UnknownSetting) as caught:
        load()
    (fault,) = caught.value.problems
    assert fault.reason.endswith("did you mean channels.sendgrid.api_key?")
    assert "SG.secret" not in str(caught.value)


def test_every_fault_is_told_and_no_value_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_PORT", "ada@example.org")
    monkeypatch.setenv("CANDOR_KERNEL__POOL_SIZE", "0")
    with pytest.raises(UnknownSetting) as caught:
        load()
    assert {fault.pointer for fault in caught.value.problems} == {"kernel.port", "kernel.pool_size"}
    assert "ada@" not in str(caught.value) + repr(caught.value.problems)


@pytest.mark.parametrize(
    "name", ["CANDOR_DATA_DIR", "CANDOR_DATABASE_URL", "CANDOR_REDIS_URL", "CANDOR_BASE_URL", "CANDOR_LOG_LEVEL"]
)
def test_a_short_form_sets_the_field_that_it_stands_for(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    value = {"CANDOR_LOG_LEVEL": "error", "CANDOR_BASE_URL": "https://c.example"}.get(name, "/somewhere/x")
    monkeypatch.setenv(name, value)
    got = getattr(load().kernel, SHORT[name])
    assert str(got.get_secret_value() if hasattr(got, "get_secret_value") else got) == value


def test_a_long_form_reaches_any_section_and_an_argument_wins(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("CANDOR_EVENTS__BATCH_ITEMS", "7")
    monkeypatch.setenv("CANDOR_DATA_DIR", str(tmp_path / "from-environment"))
    settings = load(kernel={"data_dir": tmp_path})
    assert settings.events.batch_items == 7
    assert settings.kernel.data_dir == tmp_path


def test_the_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "candor.toml").write_text("[events]\nbatch_items = 5\n[kernel]\nport = 5\n", encoding="utf-8")
    monkeypatch.setenv("CANDOR_EVENTS__BATCH_ITEMS", "7")
    settings = load()
    assert (settings.events.batch_items, settings.kernel.port) == (7, 5)


@pytest.mark.parametrize(
    ("words", "told"),
    [("[kernel]\nprot = 1\n", "kernel.prot"), ("[kernle]\nport = 1\n", "kernle"), ("[kernel\n", "candor.toml")],
)
def test_a_fault_in_the_file_is_told_with_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path, words, told) -> None:
    file = tmp_path / "candor.toml"
    file.write_text(words, encoding="utf-8")
    with pytest.raises(UnknownSetting) as caught:
        load()
    faults = {fault.pointer: fault.reason for fault in caught.value.problems}
    assert told in faults
    assert "did you mean kernel" in faults[told] or "line 1" in faults[told]


def test_a_file_that_is_named_must_be_there(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("CANDOR_CONFIG", str(tmp_path / "nowhere.toml"))
    with pytest.raises(UnknownSetting) as caught:
        load()
    assert "CANDOR_CONFIG" in {fault.pointer for fault in caught.value.problems}


def test_secrets_do_not_show_when_settings_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANDOR_DATABASE_URL", "postgresql://app:hunter2@127.0.0.1/x")
    assert "hunter2" not in repr(load())
