"""Postgres connections."""

from typing import Any

from psycopg import AsyncConnection

Conn = AsyncConnection[dict[str, Any]]
