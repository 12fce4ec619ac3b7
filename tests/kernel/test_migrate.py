"""One chain, run by the owner; a faulty file is named and leaves nothing."""

import psycopg
import pytest

from kernel.db import DatabaseUnavailable
from kernel.engines.postgres import OWNER, make_database
from kernel.migrate import MIGRATIONS, MigrationBroken, migrate


@pytest.fixture
def empty(engines):
    """An empty database, as owner."""
    name = f"m_{engines.worker}"
    engines.admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    make_database(engines.admin, name)
    yield engines.postgres.url(name, OWNER)
    engines.admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def revision(folder, name, after, body):
    folder.mkdir(parents=True, exist_ok=True)
    text = f'from alembic import op\nrevision = "{name}"\ndown_revision = "{after}"\n\ndef upgrade():\n    {body}\n'
    (folder / f"{name}.py").write_text(text)


def schemas(url):
    with psycopg.connect(url) as conn:
        return {row[0] for row in conn.execute("SELECT nspname FROM pg_namespace")}


def test_the_chain_runs_once_over_several_folders(empty, tmp_path):
    revision(tmp_path / "a", "0002_a", "0001_kernel", 'op.execute("CREATE SCHEMA a")')
    revision(tmp_path / "b", "0003_b", "0002_a", 'op.execute("CREATE SCHEMA b")')
    folders = [MIGRATIONS, tmp_path / "b", tmp_path / "a"]
    assert migrate(empty, folders) == "0003_b"
    assert {"a", "b", "kernel"} <= schemas(empty)
    assert migrate(empty, folders) == "0003_b"
    revision(tmp_path / "b", "0004_c", "0003_b", 'op.execute("CREATE SCHEMA c")')
    assert migrate(empty, folders) == "0004_c"
    assert "c" in schemas(empty)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('op.execute("CREATE SCHEMA half"); op.execute("CREATE TABL x ()")', "0002_a.py"),
        ('op.execute("CREATE SCHEMA half"); undefined()', "0002_a.py, line 6"),
        ("(", "0002_a.py"),
    ],
)
def test_a_broken_file_is_named_and_its_revision_leaves_nothing(empty, tmp_path, body, said):
    revision(tmp_path / "a", "0002_a", "0001_kernel", body)
    with pytest.raises(MigrationBroken, match=said):
        migrate(empty, [MIGRATIONS, tmp_path / "a"])
    assert "half" not in schemas(empty)


def test_a_gap_in_the_chain_is_said(empty, tmp_path):
    revision(tmp_path / "a", "0003_a", "0002_missing", "pass")
    with pytest.raises(MigrationBroken, match="0002_missing"):
        migrate(empty, [MIGRATIONS, tmp_path / "a"])


def test_a_fork_of_the_chain_is_said(empty, tmp_path):
    revision(tmp_path / "a", "0002_a", "0001_kernel", "pass")
    revision(tmp_path / "a", "0002_b", "0001_kernel", "pass")
    with pytest.raises(MigrationBroken, match="0002_a, 0002_b"):
        migrate(empty, [MIGRATIONS, tmp_path / "a"])


def test_an_absent_server_is_said(tmp_path):
    with pytest.raises(DatabaseUnavailable):
        migrate(f"postgresql://candor_owner@/x?host={tmp_path}", [MIGRATIONS])
