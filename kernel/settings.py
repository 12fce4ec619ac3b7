"""The kernel's section of the settings tree, and the base that every room's section is made from.

What enters: environment (``CANDOR_KERNEL__…``) and ``candor.toml``, read by ``orchestration/settings.py``. What leaves:
a frozen section. Unknown names are an error, every field is described, secrets never show in ``repr``.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class Section(BaseModel):
    """Base of a room's settings: frozen, unknown fields refused, defaults checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


def default_data_dir() -> Path:
    """``/var/lib/candor`` for root, else ``candor`` in the XDG data folder.

    Never a home folder as root: the embedded Postgres runs as a user of its own and must be able to reach its files.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/candor")
    share = os.environ.get("XDG_DATA_HOME")
    return (Path(share) if share else Path.home() / ".local" / "share") / "candor"


class KernelSettings(Section):
    """Where Candor keeps its state, which engines it uses, and how it speaks."""

    data_dir: Annotated[
        Path,
        Field(
            default_factory=default_data_dir,
            description="Folder of the embedded engines, key files, tiles and models; the whole local state of Candor.",
        ),
    ]
    database_url: Annotated[
        SecretStr | None,
        Field(
            default=None,
            description="Postgres of the system of record, as role app: postgresql://… "
            "Absent: Candor starts its own. A host other than this machine needs sslmode=verify-full.",
        ),
    ]
    owner_url: Annotated[
        SecretStr | None,
        Field(default=None, description="The same database as role owner, used by migrations only."),
    ]
    keys_database_url: Annotated[
        SecretStr | None,
        Field(
            default=None,
            description="Postgres database of the wrapped subject keys, as role app; another database than "
            "database_url, so that dumps of the data never carry the keys.",
        ),
    ]
    keys_owner_url: Annotated[
        SecretStr | None,
        Field(default=None, description="The keys database as role owner, used by migrations only."),
    ]
    redis_url: Annotated[
        SecretStr | None,
        Field(
            default=None,
            description="Redis or Valkey of the hot store: redis://, rediss:// or unix://. Absent: Candor starts its "
            "own. A host other than this machine needs rediss://.",
        ),
    ]
    kek_file: Annotated[
        Path | None,
        Field(
            default=None,
            description="File of the key-encryption keys and the hashing secret, mode 0600; made on first start. "
            "Absent: secrets/keys.json in data_dir. Back it up apart from the database.",
        ),
    ]
    base_url: Annotated[
        str,
        Field(
            default="http://127.0.0.1:8460",
            pattern=r"^https?://[^\s/]+(/[^\s]*)?$",
            description="Address under which people reach this installation; written into links, without a slash at "
            "the end.",
        ),
    ]
    bind: Annotated[
        str, Field(default="127.0.0.1", description="Address the server listens on; any but loopback needs TLS.")
    ]
    port: Annotated[int, Field(default=8460, ge=0, le=65535, description="Port the server listens on; 0 picks one.")]
    tls_certificate: Annotated[
        Path | None, Field(default=None, description="PEM certificate chain; needed when bind is not loopback.")
    ]
    tls_key: Annotated[Path | None, Field(default=None, description="PEM private key of tls_certificate.")]
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Field(default="info", description="Least severe log line that is written."),
    ]
    log_json: Annotated[
        bool, Field(default=True, description="One JSON object a log line; false writes lines for a person to read.")
    ]
    pool_size: Annotated[int, Field(default=10, ge=1, le=200, description="Most Postgres connections of one process.")]
    statement_timeout_ms: Annotated[
        int,
        Field(
            default=30_000, ge=100, description="A statement that runs longer is cancelled by Postgres, milliseconds."
        ),
    ]
    key_cache_size: Annotated[
        int, Field(default=20_000, ge=0, description="Unwrapped subject keys held in memory by one process, at most.")
    ]
    key_cache_seconds: Annotated[
        float,
        Field(
            default=5.0,
            ge=0,
            le=300,
            description="This often a process looks whether any key was destroyed, so one that another process destroyed is "
            "used no longer than this.",
        ),
    ]
    removal_seconds: Annotated[
        float,
        Field(
            default=60.0,
            ge=0,
            description="How long a destroyed key may wait before a serving process removes its bytes from the disk too; several share one removal.",
        ),
    ]
    cache_timeout_ms: Annotated[
        int,
        Field(default=250, ge=5, description="A hot-store command that takes longer counts as a cold cache, ms."),
    ]

    @property
    def secrets_file(self) -> Path:
        """The file of the key-encryption keys, given or default."""
        return self.kek_file if self.kek_file is not None else self.data_dir / "secrets" / "keys.json"
