"""TC strings of the IAB Europe Transparency and Consent Framework, versions 1 and 2.

Enters: a TC string. Leaves: a ``TcString``, or Undecodable. Follows "Transparency and Consent String with Global Vendor & CMP List
Formats" (GDPR-Transparency-and-Consent-Framework/TCFv2) for version 2 with its segments, and "Consent string and vendor list formats
v1.1 Final" for version 1. A segment after the core is known by its first three bits, in any order, each once. What a string permits is
said in ``meaning.py``: that a string can be read does not make it a yes.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from consent.signals.bits import Bits, from_base64url
from consent.signals.errors import Undecodable, Why
from kernel.canonical import Json

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PURPOSES: Final = 24
_SPECIAL_FEATURES: Final = 12
_DISCLOSED, _ALLOWED, _PUBLISHER = 1, 2, 3
_SEGMENTS: Final = {_DISCLOSED: "disclosedVendors", _ALLOWED: "allowedVendors", _PUBLISHER: "publisherTC"}


@dataclass(frozen=True, slots=True)
class Restriction:
    """What the publisher restricts for these vendors: 0 not allowed, 1 consent only, 2 legitimate interest only, 3 undefined."""

    purpose: int
    kind: int
    vendors: tuple[int, ...]

    def as_json(self) -> dict[str, Json]:
        """With the names of the specification."""
        return {"purposeId": self.purpose, "restrictionType": self.kind, "vendorIds": list(self.vendors)}


@dataclass(frozen=True, slots=True)
class PublisherTc:
    """Purposes of the publisher itself."""

    consents: tuple[int, ...]
    legitimate_interests: tuple[int, ...]
    custom: int
    custom_consents: tuple[int, ...]
    custom_legitimate_interests: tuple[int, ...]

    def as_json(self) -> dict[str, Json]:
        """With the names of the reference decoders."""
        return {
            "pubPurposesConsent": list(self.consents),
            "pubPurposesLITransparency": list(self.legitimate_interests),
            "numCustomPurposes": self.custom,
            "customPurposesConsent": list(self.custom_consents),
            "customPurposesLI": list(self.custom_legitimate_interests),
        }


@dataclass(frozen=True, slots=True)
class TcString:
    """A decoded string. Of version 1 only what that version has; ``purposes`` are then those of version 1, which mean other things."""

    version: int
    created: datetime
    updated: datetime
    cmp_id: int
    cmp_version: int
    screen: int
    language: str
    vendor_list: int
    purposes: tuple[int, ...]
    vendors: tuple[int, ...]
    max_vendor: int = 0
    policy: int = 0
    service_specific: bool = False
    non_standard_texts: bool = False
    special_features: tuple[int, ...] = ()
    legitimate_interests: tuple[int, ...] = ()
    purpose_one_treatment: bool = False
    country: str = ""
    vendor_interests: tuple[int, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    disclosed: tuple[int, ...] | None = None
    allowed: tuple[int, ...] | None = None
    publisher: PublisherTc | None = None
    segments: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Json]:
        """With the names of the reference decoders."""
        said: dict[str, Json] = {
            "version": self.version,
            "created": stamp(self.created),
            "lastUpdated": stamp(self.updated),
            "cmpId": self.cmp_id,
            "cmpVersion": self.cmp_version,
            "consentScreen": self.screen,
            "consentLanguage": self.language,
            "vendorListVersion": self.vendor_list,
            "vendorConsent": list(self.vendors),
        }
        if self.version == 1:
            return {**said, "purposesAllowed": list(self.purposes), "maxVendorId": self.max_vendor}
        said |= {
            "tcfPolicyVersion": self.policy,
            "isServiceSpecific": self.service_specific,
            "useNonStandardTexts": self.non_standard_texts,
            "specialFeatureOptIns": list(self.special_features),
            "purposesConsent": list(self.purposes),
            "purposesLITransparency": list(self.legitimate_interests),
            "purposeOneTreatment": self.purpose_one_treatment,
            "publisherCC": self.country,
            "vendorLegitimateInterest": list(self.vendor_interests),
            "publisherRestrictions": [one.as_json() for one in self.restrictions],
            "segmentOrder": list(self.segments),
        }
        if self.disclosed is not None:
            said["disclosedVendors"] = list(self.disclosed)
        if self.allowed is not None:
            said["allowedVendors"] = list(self.allowed)
        if self.publisher is not None:
            said["publisherTC"] = self.publisher.as_json()
        return said


def decode(text: str) -> TcString:
    """The string, read to its last bit.

    Raises:
        Undecodable: cut short, left over, of another version, or not a TC string at all.
    """
    core, *others = text.split(".")
    bits = from_base64url(core)
    version = bits.number(6)
    if version == 1 and not others:
        return _version_1(bits)
    if version == 2:
        return _version_2(bits, others)
    raise Undecodable(Why.UNKNOWN_SEGMENT if version == 1 else Why.UNSUPPORTED_VERSION)


def moment(bits: Bits) -> datetime:
    """A date: tenths of a second since 1970, in 36 bits."""
    return _EPOCH + timedelta(milliseconds=100 * bits.number(36))


def stamp(at: datetime) -> str:
    """A moment as the reference decoders write it."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _version_1(bits: Bits) -> TcString:
    created, updated = moment(bits), moment(bits)
    cmp_id, cmp_version, screen = bits.number(12), bits.number(12), bits.number(6)
    language, vendor_list = bits.letters(2), bits.number(12)
    purposes = tuple(bits.ids(_PURPOSES))
    most = bits.number(16)
    if bits.bit():
        default = bits.bit()
        named = set(bits.fixed_range(most))
        vendors = tuple(one for one in range(1, most + 1) if (one in named) is not default)
    else:
        vendors = tuple(bits.ids(most))
    bits.end()
    return TcString(
        version=1, created=created, updated=updated, cmp_id=cmp_id, cmp_version=cmp_version, screen=screen,
        language=language, vendor_list=vendor_list, purposes=purposes, vendors=vendors, max_vendor=most,
    )  # fmt: skip


def _version_2(bits: Bits, others: list[str]) -> TcString:
    created, updated = moment(bits), moment(bits)
    cmp_id, cmp_version, screen = bits.number(12), bits.number(12), bits.number(6)
    language, vendor_list, policy = bits.letters(2), bits.number(12), bits.number(6)
    service_specific, non_standard = bits.bit(), bits.bit()
    features, purposes, interests = bits.ids(_SPECIAL_FEATURES), bits.ids(_PURPOSES), bits.ids(_PURPOSES)
    treatment, country = bits.bit(), bits.letters(2)
    vendors, vendor_interests = bits.optimized_range(), bits.optimized_range()
    restrictions = tuple(
        Restriction(bits.number(6), bits.number(2), tuple(bits.fixed_range())) for _ in range(bits.number(12))
    )
    bits.end()

    segments: list[str] = []
    listed: dict[str, tuple[int, ...]] = {}
    publisher: PublisherTc | None = None
    for text in others:
        segment = from_base64url(text)
        name = _SEGMENTS.get(segment.number(3))
        if name is None:
            raise Undecodable(Why.UNKNOWN_SEGMENT)
        if name in segments:
            raise Undecodable(Why.REPEATED_SEGMENT)
        segments.append(name)
        if name == _SEGMENTS[_PUBLISHER]:
            publisher = _publisher(segment)
        else:
            listed[name] = tuple(segment.optimized_range())
        segment.end()
    return TcString(
        version=2, created=created, updated=updated, cmp_id=cmp_id, cmp_version=cmp_version, screen=screen,
        language=language, vendor_list=vendor_list, policy=policy, service_specific=service_specific,
        non_standard_texts=non_standard, special_features=tuple(features), purposes=tuple(purposes),
        legitimate_interests=tuple(interests), purpose_one_treatment=treatment, country=country, vendors=tuple(vendors),
        vendor_interests=tuple(vendor_interests), restrictions=restrictions, publisher=publisher,
        disclosed=listed.get(_SEGMENTS[_DISCLOSED]), allowed=listed.get(_SEGMENTS[_ALLOWED]), segments=tuple(segments),
    )  # fmt: skip


def _publisher(bits: Bits) -> PublisherTc:
    consents, interests, custom = bits.ids(_PURPOSES), bits.ids(_PURPOSES), bits.number(6)
    return PublisherTc(tuple(consents), tuple(interests), custom, tuple(bits.ids(custom)), tuple(bits.ids(custom)))
