"""The one settings tree: a section a room, every field described.

Enters: environment variables `CANDOR_<SECTION>__<FIELD>`, the short forms below, and a TOML file (`candor.toml` in the current folder, or the
one that `CANDOR_CONFIG` names, which must then exist); environment wins. Leaves: a frozen `Settings`. Unknown names are an error with the nearest known one.
"""

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from audit.settings import AuditSettings
from channels.settings import ChannelsSettings
from consent.settings import ConsentSettings
from events.settings import EventsSettings
from explain.settings import ExplainSettings
from identity.settings import IdentitySettings
from kernel.errors import InvalidInput, Problem
from kernel.settings import KernelSettings
from orchestration.decision.settings import DecisionSettings
from orchestration.learning.settings import LearningSettings
from orchestration.triggers.settings import TriggersSettings
from orchestration.walk_settings import PipelineSettings
from profiles.settings import ProfilesSettings

SHORT = {  # names that everyone knows, for the fields of the kernel's section
    "CANDOR_DATA_DIR": "data_dir",
    "CANDOR_DATABASE_URL": "database_url",
    "CANDOR_OWNER_URL": "owner_url",
    "CANDOR_KEYS_DATABASE_URL": "keys_database_url",
    "CANDOR_KEYS_OWNER_URL": "keys_owner_url",
    "CANDOR_REDIS_URL": "redis_url",
    "CANDOR_BASE_URL": "base_url",
    "CANDOR_BIND": "bind",
    "CANDOR_PORT": "port",
    "CANDOR_LOG_LEVEL": "log_level",
}


class UnknownSetting(InvalidInput):
    """A name or value in the environment or the file that no section has."""

    code = "bad_setting"
    remedy = (
        "Correct it in the environment or in candor.toml; `candor doctor --settings` lists every name with its meaning."
    )


class Settings(BaseSettings):
    """Every section, with defaults that run on one machine."""

    model_config = SettingsConfigDict(env_prefix="CANDOR_", env_nested_delimiter="__", extra="forbid", frozen=True)

    kernel: KernelSettings = Field(
        default_factory=lambda: KernelSettings.model_validate({}), description="Engines, keys, addresses, log."
    )
    audit: AuditSettings = Field(default_factory=AuditSettings, description="The log and its checkpoints.")
    identity: IdentitySettings = Field(default_factory=IdentitySettings, description="Who is who.")
    consent: ConsentSettings = Field(default_factory=ConsentSettings, description="Purposes, jurisdictions, requests.")
    events: EventsSettings = Field(default_factory=EventsSettings, description="Limits of the collection door.")
    profiles: ProfilesSettings = Field(default_factory=ProfilesSettings, description="Survivorship and features.")
    channels: ChannelsSettings = Field(default_factory=ChannelsSettings, description="Senders, caps, the outbox.")
    explain: ExplainSettings = Field(default_factory=ExplainSettings, description="Reasons and their wording.")
    decision: DecisionSettings = Field(default_factory=DecisionSettings, description="Exploration and commits.")
    learning: LearningSettings = Field(default_factory=LearningSettings, description="Training and promotion.")
    triggers: TriggersSettings = Field(
        default_factory=TriggersSettings, description="What sets messages off by itself."
    )
    pipeline: PipelineSettings = Field(default_factory=PipelineSettings, description="When news starts a walk.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - the framework's signature
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then environment, then the file."""
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings]
        if (file := _file()) is not None:
            sources.append(TomlConfigSettingsSource(settings_cls, toml_file=file))
        return tuple(sources)


def load(**sections: Mapping[str, Any]) -> Settings:
    """Read the settings; `sections` (for example `kernel={"data_dir": …}`) win over everything.

    Raises:
        UnknownSetting: a name that no section has, or a value of the wrong shape; every fault is listed.
    """
    kernel = {field: os.environ[name] for name, field in SHORT.items() if name in os.environ}
    given: dict[str, Any] = {name: dict(values) for name, values in sections.items()}
    given["kernel"] = {**kernel, **given.get("kernel", {})}
    known = [*SHORT, *(f"CANDOR_{section}__{field}".upper() for section, field, _ in described())]
    strays = [name for name in os.environ if name.startswith("CANDOR_") and not _known(name)]
    if strays:
        problems = [Problem(name, f"unknown setting{_near(name, known)}") for name in strays]
        raise UnknownSetting(f"expected known settings, got {', '.join(strays)}", problems=problems)
    try:
        return Settings(**given)
    except ValidationError as fault:
        fields = [
            *Settings.model_fields,
            *(f"{section}.{field}".replace("__", ".") for section, field, _ in described()),
        ]
        problems = []
        for e in fault.errors(include_input=False):
            name = ".".join(str(part) for part in e["loc"])
            extra = e["type"] == "extra_forbidden"
            problems.append(Problem(name, f"unknown setting{_near(name, fields)}" if extra else e["msg"]))
        raise UnknownSetting(f"expected valid settings, got {len(problems)} fault(s)", problems=problems) from None
    except tomllib.TOMLDecodeError as fault:
        problem = Problem(str(_file()), str(fault))
        raise UnknownSetting("expected a settings file in TOML, got one with a fault", problems=[problem]) from None


def _file() -> Path | None:
    """The settings file, if there is one; one that the environment names must be there."""
    named = os.environ.get("CANDOR_CONFIG")
    file = Path(named or "candor.toml")
    if file.is_file():
        return file
    if named:
        problem = Problem("CANDOR_CONFIG", "names no file that can be read")
        raise UnknownSetting(f"expected a settings file at {named}, got none", problems=[problem])
    return None


def _near(name: str, known: Sequence[str]) -> str:
    found = difflib.get_close_matches(name, known, n=1)
    return f", did you mean {found[0]}?" if found else ""


def described() -> list[tuple[str, str, str]]:
    """Section, field and meaning of every setting, in the tree's order; a field of an inner section is `inner__field`."""
    return [
        (section, field, meaning)
        for section, holder in Settings.model_fields.items()
        for field, meaning in _fields(holder.annotation)
    ]


def _fields(model: object) -> Iterator[tuple[str, str]]:
    if isinstance(model, type) and issubclass(model, BaseModel):
        for field, info in model.model_fields.items():
            yield field, info.description or ""
            yield from ((f"{field}__{inner}", meaning) for inner, meaning in _fields(info.annotation))


def _known(name: str) -> bool:
    if name in {*SHORT, "CANDOR_CONFIG", "CANDOR_ACTOR", "CANDOR_STAFF_PASSWORD"}:
        return True
    section, _, field = name.removeprefix("CANDOR_").lower().partition("__")
    return any((section, field.partition("__")[0]) == (s, f) for s, f, _ in described())
