"""Is the schema at its head? Asked at every start, before anything of Alembic is loaded.

Enters: the owner's address and the migration folders. Leaves: yes or no. A revision is named like its file, and files are numbered along the
chain (a house test holds that), so the last name is the head.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psycopg

MIGRATIONS: Final = Path(__file__).parent / "migrations"


def at_head(owner_url: str, folders: Sequence[Path], *, schema: str) -> bool:
    """Whether the newest revision of the folders is the one that the database holds; any doubt is a no."""
    names = sorted(file.stem for folder in folders for file in folder.glob("[0-9]*.py"))
    if not names:
        return False
    try:
        with psycopg.connect(owner_url, connect_timeout=5, application_name="candor-head") as conn:
            rows = conn.execute(f"SELECT version_num FROM {schema}.schema_version").fetchall()
    except psycopg.Error:  # no such table yet, or no answer: the migration says which
        return False
    return [row[0] for row in rows] == [names[-1]]
