"""Embedded engines are started, shared, adopted after a crash and stopped only by those who may; far ones need TLS."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.machinery import ModuleSpec
from pathlib import Path

import psycopg
import pytest

from kernel.clock import FrozenClock
from kernel.engines import EmbeddedPostgres, EmbeddedValkey, Engines, process
from kernel.engines.process import engine_user, wheel_folder
from kernel.engines.remote import BadAddress, InsecureAddress, check_postgres, check_redis
from kernel.errors import InvalidInput
from kernel.kernel import open_kernel
from kernel.settings import KernelSettings

ROOT = Path(__file__).resolve().parents[2]
FAST = {"fsync": "off"}  # a killed process loses nothing that the operating system has; only a power cut would


@pytest.fixture
def folder():
    # Not tmp_path: pytest resets the mode of its root, and the embedded Postgres runs as an account of its own.
    path = Path(tempfile.gettempdir()) / f"candor-engines-{secrets.token_hex(6)}"
    yield path
    for engine in (EmbeddedPostgres(path / "postgres"), EmbeddedValkey(path / "valkey")):
        engine.halt()
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(params=[EmbeddedPostgres, EmbeddedValkey], ids=["postgres", "valkey"])
def make(request, folder):
    name = "postgres" if request.param is EmbeddedPostgres else "valkey"
    if name == "valkey":
        return lambda: EmbeddedValkey(folder / name)
    return lambda: EmbeddedPostgres(folder / name, FAST)


def test_it_starts_stops_and_starts_again(make):
    engine = make()
    engine.start()
    first = engine.pid()
    assert first is not None
    engine.stop()
    assert engine.pid() is None
    engine.start()
    assert engine.pid() not in {None, first}
    engine.stop()


def test_a_copy_out_of_a_closed_folder_has_the_libraries_that_its_programs_look_for(folder, monkeypatch):
    site = folder / "closed" / "site-packages"
    (site / "wheel" / "inside" / "bin").mkdir(parents=True)
    (site / "wheel" / "inside" / "bin" / "program").touch()
    (site / "wheel.libs").mkdir()
    (site / "wheel.libs" / "library.so").touch()
    (folder / "closed").chmod(0o700)
    spec = ModuleSpec("wheel", None, is_package=True)
    spec.submodule_search_locations = [str(site / "wheel")]
    monkeypatch.setattr(process, "find_spec", lambda _: spec)
    monkeypatch.setattr(process, "engine_user", lambda: pwd.getpwuid(os.getuid()))
    found = wheel_folder("wheel", "inside", folder / "copies")
    assert found.is_relative_to(folder / "copies")
    assert (found / "bin" / "program").is_file()
    assert (found / "bin" / ".." / ".." / ".." / "wheel.libs" / "library.so").is_file()  # $ORIGIN/../../../wheel.libs
    assert wheel_folder("wheel", "inside", folder / "copies") == found


def test_a_second_user_adopts_and_only_the_last_one_stops_what_was_started(make):
    starter, guest = make(), make()
    starter.start()
    guest.start()
    assert starter.pid() == guest.pid()
    starter.stop()
    assert guest.pid() is not None, "the guest still uses it"
    guest.stop()
    assert guest.pid() is None, "the starter had left it to the last one"


def test_a_guest_who_leaves_stops_nothing(make):
    starter, guest = make(), make()
    starter.start()
    guest.start()
    guest.stop()
    assert starter.pid() is not None
    starter.stop()
    assert starter.pid() is None


def test_a_killed_starter_leaves_an_engine_that_the_next_one_adopts(make, folder):
    kind = type(make()).__name__
    words = f"import os, signal; from kernel.engines import {kind}; from pathlib import Path; "
    words += f"{kind}(Path({str(make().folder)!r}){', ' + repr(FAST) if 'Postgres' in kind else ''}).start(); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", words], cwd=ROOT, check=False)
    left = make().pid()
    assert left is not None
    engine = make()
    engine.start()
    assert engine.pid() == left
    engine.stop()
    assert engine.pid() == left, "it was found running, so it is left running"
    engine.halt()


def test_a_killed_engine_is_started_anew_over_its_stale_pid_file(make):
    engine = make()
    engine.start()
    pid = engine.pid()
    os.kill(pid, signal.SIGKILL)
    again = make()
    until = time.monotonic() + 5
    while again.pid() is not None and time.monotonic() < until:
        time.sleep(0.005)
    again.start()
    assert again.pid() not in {None, pid}
    again.stop()
    engine.stop()


def test_a_pid_file_that_names_a_stranger_is_not_believed(make):
    engine = make()
    engine.start()
    engine.stop()
    user = engine_user()
    # Of the same user as the server: Postgres itself forgives a stranger of another user only.
    with subprocess.Popen(["sleep", "60"], user=user.pw_uid if user else None) as stranger:
        pid_file = engine.data / ("postmaster.pid" if isinstance(engine, EmbeddedPostgres) else "valkey.pid")
        pid_file.write_text(f"{stranger.pid}\n{engine.data}\n")
        assert engine.pid() is None
        again = make()
        again.start()
        assert again.pid() not in {None, stranger.pid}
        again.stop()
        stranger.kill()


def test_committed_rows_survive_a_crash_of_postgres(folder):
    engine = EmbeddedPostgres(folder / "postgres", FAST)
    engine.start()
    with psycopg.connect(engine.url(role="candor_owner"), autocommit=True) as conn:
        conn.execute("CREATE TABLE public.kept (n int)")
        conn.execute("INSERT INTO public.kept VALUES (7)")
    engine.halt("immediate")
    engine.start()
    with psycopg.connect(engine.url(role="candor_owner")) as conn:
        assert conn.execute("SELECT n FROM public.kept").fetchall() == [(7,)]
    engine.stop()


def test_the_sockets_and_the_data_are_closed_to_others(make):
    engine = make()
    engine.start()
    sockets = engine.sockets if isinstance(engine, EmbeddedPostgres) else engine.socket.parent
    assert sockets.stat().st_mode & 0o077 == 0
    assert engine.data.stat().st_mode & 0o077 == 0
    engine.stop()


def test_a_deep_folder_still_gets_a_socket(folder):
    engine = EmbeddedPostgres(folder / ("deep" * 20) / ("er" * 20) / "postgres", FAST)
    engine.start()
    with psycopg.connect(engine.url()) as conn:
        assert conn.execute("SELECT current_user").fetchone() == ("candor_app",)
    engine.stop()
    engine.sockets.rmdir()


@pytest.mark.anyio
async def test_a_kernel_opens_on_an_empty_folder_and_stops_what_it_started(folder):
    settings = KernelSettings(data_dir=folder)
    async with open_kernel(settings) as kernel:
        (key_id,) = await kernel.vault.create_keys(1)
        assert all(status.running for status in Engines(settings).status())
        assert settings.secrets_file.stat().st_mode & 0o777 == 0o600
    assert not any(status.running for status in Engines(settings).status())
    async with open_kernel(settings, clock=FrozenClock(kernel.clock.now())) as again:
        assert set(await again.vault.unwrap([key_id])) == {key_id}


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@db.example.org/candor",
        "postgresql://app@db.example.org/candor?sslmode=require",
        "postgresql://app@/candor?host=localhost,10.0.0.5&sslmode=prefer",
        "host=10.0.0.5 dbname=candor user=app sslmode=verify-ca",
        "postgresql://app@localhost/candor?hostaddr=10.0.0.5",
    ],
)
def test_a_far_postgres_without_a_checked_peer_is_refused(url):
    with pytest.raises(InsecureAddress, match="verify-full"):
        check_postgres(url)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@db.example.org/candor?sslmode=verify-full",
        "postgresql://app@localhost/candor",
        "postgresql://app@127.0.0.1:5433/candor",
        "postgresql://app@[::1]/candor",
        "postgresql://app@/candor?host=%2Frun%2Fpostgresql",
    ],
)
def test_a_near_postgres_or_a_checked_one_is_taken(url):
    check_postgres(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://cache.example.org:6379/0",
        "redis://10.0.0.5",
        "rediss://cache.example.org/0?ssl_cert_reqs=none",
        "rediss://cache.example.org/0?ssl_check_hostname=false",
    ],
)
def test_a_far_cache_without_a_checked_peer_is_refused(url):
    with pytest.raises(InsecureAddress):
        check_redis(url)


@pytest.mark.parametrize("url", ["rediss://cache.example.org/0", "redis://127.0.0.1:6379", "unix:///run/v.sock?db=1"])
def test_a_near_cache_or_a_checked_one_is_taken(url):
    check_redis(url)


@pytest.mark.parametrize("check", [check_postgres, check_redis])
def test_an_unreadable_address_is_said_without_its_password(check):
    with pytest.raises(BadAddress) as caught:
        check("nonsense://user:hunter2@host host")
    assert "hunter2" not in str(caught.value)


def test_half_an_external_database_is_refused():
    with pytest.raises(InvalidInput, match="together"):
        Engines(KernelSettings(database_url="postgresql://localhost/x"))


def test_secrets_do_not_show():
    settings = KernelSettings(
        database_url="postgresql://a:hunter2@localhost/x", keys_database_url="postgresql://a:hunter2@localhost/y"
    )
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in repr(Engines(settings).addresses())


def test_every_setting_is_described():
    assert [name for name, field in KernelSettings.model_fields.items() if not field.description] == []
