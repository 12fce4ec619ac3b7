"""The consent room's section of the settings tree (``CANDOR_CONSENT__…``)."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from consent.purposes import DEFAULT
from kernel.settings import Section


class ConsentSettings(Section):
    """Who asks for consent, where, and for which purposes of one's own."""

    controller: Annotated[
        str,
        Field(
            min_length=1,
            description="Name of the controller, as people read it on the preference page and in consent acts.",
        ),
    ] = "this organisation"
    jurisdiction: Annotated[
        str,
        Field(
            pattern=r"^[a-z]+(-[a-z]+)?$",
            description="Jurisdiction pack asked for everyone, beside those of a person's acts: default, gdpr, uk or "
            "us-ca. The strictest answers.",
        ),
    ] = DEFAULT
    purposes_file: Annotated[
        Path | None, Field(description="YAML file of purposes of your own, in the form of consent/data/purposes.yaml.")
    ] = None
    packs_dir: Annotated[
        Path | None,
        Field(
            description="Folder of jurisdiction packs of your own, in the form of consent/data/packs/: a pack of a shipped "
            "name comes instead of that one, another name adds a jurisdiction."
        ),
    ] = None
    rules_keys: Annotated[
        tuple[str, ...],
        Field(
            description="Public keys (name+hash+base64) of those who answer for the rules. When any is named, purposes, "
            "precedence, signals and packs must be signed by one of them, or nothing starts."
        ),
    ] = ()
    rules_signature: Annotated[
        Path | None,
        Field(description="File with the signature over the rules, as `candor consent sign-rules` writes it."),
    ] = None
    retention_file: Annotated[
        Path | None,
        Field(description="YAML retention schedule of your own. Absent: the shipped consent/data/retention.yaml."),
    ] = None
    confirmation_days: Annotated[
        int, Field(ge=1, le=60, description="Days for which the link that asks to confirm a yes opens.")
    ] = 7
    confirmation_mails: Annotated[
        int, Field(ge=1, le=10, description="Mails that ask to confirm the same yes, the first included.")
    ] = 3
    confirmation_pause_minutes: Annotated[
        int, Field(ge=1, le=1440, description="Minutes between two mails that ask to confirm the same yes.")
    ] = 10
    confirmation_mails_a_day: Annotated[
        int, Field(ge=1, le=100, description="Mails a day to one contact that ask to confirm anything.")
    ] = 5
    storage_location: Annotated[
        str,
        Field(
            min_length=1,
            description="Where what people told you is stored, as receipts say it: a location of the Data Privacy Vocabulary, for "
            "example loc:DE.",
        ),
    ] = "dpv:RemoteLocation"
    surely_hers: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            description="How sure a record must be of whoever asks for access to be shown to them; others are named as possible, not verified.",
        ),
    ] = 0.95
    package_days: Annotated[
        int,
        Field(
            ge=1, le=90, description="Days for which the link to an access package works; then the package is removed."
        ),
    ] = 14
    key_copy_days: Annotated[
        int,
        Field(
            ge=1,
            le=90,
            description="Days for which a copy of the keys database may be kept: so long it holds the keys of people who were erased since.",
        ),
    ] = 30
    business_id: Annotated[
        str,
        Field(
            min_length=1,
            max_length=100,
            description="Our id in the Data Rights Protocol: what agents of people must address their requests to.",
        ),
    ] = "candor"
    probe_after_hours: Annotated[
        int,
        Field(
            ge=0,
            le=720,
            description="Hours after a processor's acknowledgement until it is asked whether it still holds anything.",
        ),
    ] = 24
    tcf_vendor_id: Annotated[
        int | None,
        Field(
            ge=1,
            le=65_535,
            description="Your id on the IAB Europe Global Vendor List: TC strings are then read as vendor. Absent: as the "
            "publisher, whose own purposes stand in the string's publisher segment.",
        ),
    ] = None
    gpc_last_update: Annotated[
        str,
        Field(
            pattern=r"^\d{4}-\d{2}-\d{2}$",
            description="Date in /.well-known/gpc.json since when the signal is honoured.",
        ),
    ] = "2026-11-21"
