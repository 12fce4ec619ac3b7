"""Profiles' section of the settings tree."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from kernel.settings import Section


class ProfilesSettings(Section):
    """Which traits survive, which features are made of them, and what is kept hot."""

    features_file: Annotated[
        Path | None,
        Field(description="YAML file of features and segments. Absent: the shipped profiles/data/features.yaml."),
    ] = None
    event_weight: Annotated[
        float,
        Field(
            gt=0, le=1, description="Weight of each older event over that of the next newer one, where a feature fades."
        ),
    ] = 0.9
    survivorship_file: Annotated[
        Path | None,
        Field(description="YAML file of survivorship rules. Absent: the shipped profiles/data/survivorship.yaml."),
    ] = None
    sensitive_traits: Annotated[
        tuple[str, ...],
        Field(
            description="Traits that are specially protected (GDPR Art. 9, Cal. Civ. Code 1798.140(ae)): seen only where the purpose"
            " `sensitive` is permitted beside the one that asks.",
        ),
    ] = ()
    hot_purposes: Annotated[
        tuple[str, ...],
        Field(description="Purposes for which a refresh keeps a hot profile ready; others are made when asked for."),
    ] = ("marketing.personalize",)
    hot_seconds: Annotated[
        int,
        Field(ge=1, description="A hot profile is made anew after this long: its recencies are never older than this."),
    ] = 900
    warm_seconds: Annotated[
        float,
        Field(
            ge=0,
            description="A server that starts makes the hot profiles of whoever had events lately before it takes requests,"
            " for so long at most; those that are left it makes beside the requests. Its one rehearsal of each placement comes on top.",
        ),
    ] = 10.0
    reach: Annotated[
        dict[str, tuple[str, ...]],
        Field(description="Identifier kinds by which a person is reached on each channel, the best first."),
    ] = Field(
        default_factory=lambda: {
            "email": ("email",),
            "push": ("push",),
            "web": ("anonymous_id", "login_id", "device_id"),
        }
    )
