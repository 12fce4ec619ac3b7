"""What a consent string says to the gate: words for purposes, granted, denied or unreadable.

Enters: a TC or GPP string as it came, the moment, and what the installation is to the framework. Leaves: ``Heard``. Never raises. Only a
TC string of version 2 grants, and only purposes every one of whose bits is set in it; whatever is cut, odd, of an unknown policy, out of
date or from the future is a no. The rules are ``data/signals.yaml``: IAB Europe TCF Policies and Technical Specification 2.3 (disclosed
vendors), IAB Tech Lab US sections, 11 CCR 7025 for a GPC sub-section.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final

from consent.acts import CLOCK_SKEW, Notice, Status
from consent.purposes import SALE_SHARE
from consent.signals import gpp, tcf
from consent.signals.errors import Undecodable
from consent.signals.sections import by_name
from consent.signals.table import GppTable, SignalTable, TcfTable
from consent.signals.tcf import TcString
from kernel.canonical import Json

TCF: Final = "tcf"
GPP: Final = "gpp"
GPC: Final = "gpc"
_FIRST: Final = datetime(
    2019, 1, 1, tzinfo=UTC
)  # version 2 of the framework is of 2019: an older string is of a clock that stands wrong
_NO_SUCH_VALUE: Final = 3  # two bits can say it, the specification does not
_NOT_ALLOWED, _LEGITIMATE_INTEREST_ONLY, _UNDEFINED = 0, 2, 3  # publisher restrictions


class Finding(StrEnum):
    """Why a string that can be read permits nothing."""

    VERSION = "version"  # version 1: its purposes mean other things
    POLICY = "policy"
    FUTURE = "future"
    DATES = "dates"
    CMP = "cmp"
    GLOBAL_SCOPE = "global_scope"
    DISCLOSED_VENDORS = "disclosed_vendors"
    INTEREST = "legitimate_interest"


@dataclass(frozen=True, slots=True)
class Said:
    """One purpose, what the string says of it, and under which mechanism it is kept."""

    purpose: str
    status: Status
    mechanism: str


@dataclass(frozen=True, slots=True)
class Heard:
    """What a string says. ``given_at`` is when the person chose, None: it does not tell. ``why``: a code when it permits nothing."""

    words: tuple[Said, ...] = ()
    given_at: datetime | None = None
    expires_at: datetime | None = None
    notice: Notice | None = None
    notice_text: str = ""
    jurisdiction: str = ""
    why: str = ""

    def of(self, purpose: str) -> Status | None:
        """What it says of this purpose; None: nothing."""
        said = {word.status for word in self.words if word.purpose == purpose}
        return next((status for status in (Status.UNREADABLE, Status.DENIED, Status.GRANTED) if status in said), None)

    @property
    def granted(self) -> frozenset[str]:
        """Purposes it grants."""
        return frozenset(word.purpose for word in self.words if word.status is Status.GRANTED)


def of_tcf(text: str, table: SignalTable, now: datetime, *, vendor: int | None = None, place: str = "") -> Heard:
    """What a TC string says. ``vendor``: our id on the Global Vendor List; None: we are the publisher that asked."""
    rules = table.tcf
    where = place if place in rules.jurisdictions else rules.jurisdictions[0]
    unreadable = Heard(_all(rules.purposes, Status.UNREADABLE, TCF), jurisdiction=where)
    try:
        said = tcf.decode(text)
    except Undecodable as fault:
        return replace(unreadable, why=str(fault.why))
    finding = _finding(said, rules, now)
    if finding in {Finding.FUTURE, Finding.DATES}:  # when it was given is not known either
        return replace(unreadable, why=str(finding))
    chosen = frozenset() if finding else _chosen(said, vendor)
    words = tuple(
        Said(purpose, Status.GRANTED if chosen.issuperset(needed) else Status.DENIED, TCF)
        for purpose, needed in rules.purposes.items()
    )
    wording = (
        f"Texts of IAB Europe TCF policy version {said.policy}, Global Vendor List {said.vendor_list}, "
        f"in the language {said.language}, as shown by CMP {said.cmp_id} version {said.cmp_version} on screen {said.screen}."
    )
    listed = [word.purpose for word in words if word.status is Status.GRANTED]
    name = f"tcf-{said.policy}-gvl{said.vendor_list}-cmp{said.cmp_id}.{said.cmp_version}.{said.screen}"
    return Heard(
        words=words,
        given_at=said.updated,
        expires_at=said.updated + timedelta(days=rules.days_valid),
        notice=Notice.of(wording, version=name, language=said.language.lower(), listed=listed),
        notice_text=wording,
        jurisdiction=where,
        why=str(finding) if finding else "",
    )


def of_gpp(text: str, table: SignalTable, now: datetime, *, vendor: int | None = None, place: str = "") -> list[Heard]:
    """What a GPP string says, one answer a section that says something; unreadable as a whole when any part is."""
    refused = (*_all(table.tcf.purposes, Status.UNREADABLE, GPP), Said(SALE_SHARE, Status.UNREADABLE, GPP))
    try:
        found = gpp.decode(text)
    except Undecodable as fault:
        return [Heard(refused, why=str(fault.why))]
    answers = []
    for name, said in found.sections.items():
        if name == "tcfeuv2":
            answers.append(of_tcf(found.texts[name], table, now, vendor=vendor, place=place))
        elif name.startswith("us"):
            answers.append(_us(name, said, found.texts[name], table.gpp))
    return [heard for heard in answers if heard.words]


def _finding(said: TcString, rules: TcfTable, now: datetime) -> Finding | None:
    """The first rule that the string breaks."""
    created = said.created.astimezone(UTC).date()
    if said.version == 1:
        return Finding.VERSION
    barred = rules.without_interest(said.policy)
    checks: Mapping[Finding, bool] = {
        Finding.FUTURE: said.updated > now + CLOCK_SKEW or said.created > now + CLOCK_SKEW,
        Finding.DATES: said.updated < said.created or said.created < _FIRST,
        Finding.POLICY: said.policy not in rules.policies,
        Finding.CMP: said.cmp_id == 0,
        Finding.GLOBAL_SCOPE: not said.service_specific and _from(created, rules.service_specific_from),
        Finding.DISCLOSED_VENDORS: _from(created, rules.disclosed_vendors_from)
        and (said.disclosed is None or said.policy < rules.disclosed_vendors_policy),
        Finding.INTEREST: bool(barred & set(said.legitimate_interests)),
    }
    return next((finding for finding, broken in checks.items() if broken), None)


def _from(day: date, since: date) -> bool:
    return day >= since


def _chosen(said: TcString, vendor: int | None) -> frozenset[int]:
    """Purposes of the framework that were consented to, for us."""
    if vendor is None:  # the publisher's own purposes stand in its own segment
        return frozenset(said.publisher.consents if said.publisher else ())
    disclosed = said.disclosed is None or vendor in said.disclosed
    if vendor not in said.vendors or not disclosed:
        return frozenset()
    closed = {
        one.purpose
        for one in said.restrictions
        if one.kind in {_NOT_ALLOWED, _LEGITIMATE_INTEREST_ONLY, _UNDEFINED} and vendor in one.vendors
    }
    return frozenset(said.purposes) - closed


def _us(name: str, said: Mapping[str, Json], text: str, rules: GppTable) -> Heard:
    """A US section: opt-outs only. A value or version that does not exist makes all of it unreadable."""
    unreadable = Heard((Said(SALE_SHARE, Status.UNREADABLE, GPP),))
    version = said.get("Version", said.get("MspaVersion"))
    if version not in rules.versions.get(name, {1}):
        return replace(unreadable, why="version")
    if _layout_differs(name, said, text):
        return replace(unreadable, why="layout")
    numbers = {
        field: tuple(_numbers(value)) for field, value in said.items() if field not in {"Version", "MspaVersion"}
    }
    if any(_NO_SUCH_VALUE in values for values in numbers.values()):
        return replace(unreadable, why="value")
    opted_out = any(1 in numbers.get(field, ()) for field in (*rules.opt_outs, *rules.consents)) or any(
        said.get(field) == letter for field, letter in rules.usp_opt_out.items()
    )
    words = [Said(SALE_SHARE, Status.DENIED, GPC)] if said.get(rules.directive) is True else []
    silent = rules.directive in said and "." not in text  # it has a GPC sub-section that did not come: unknown, so no
    if opted_out or silent:
        words.append(Said(SALE_SHARE, Status.DENIED, GPP))
    return Heard(tuple(words), why="gpc_absent" if silent else "")


def _layout_differs(name: str, said: Mapping[str, Json], text: str) -> bool:
    """Whether the length is that of another version than the one it names: a cut string of version 2 looks like one of version 1."""
    section = by_name()[name]
    version = said.get("Version")
    if not section.by_version or not isinstance(version, int):
        return False
    (layout,) = section.layouts(6 * len(text.split(".", maxsplit=1)[0].rstrip("=")))
    return any(layout[field] != f"ints{count}" for field, count in section.by_version[version].items())


def _numbers(value: Json) -> Iterable[int]:
    if isinstance(value, bool):
        return ()
    if isinstance(value, int):
        return (value,)
    if isinstance(value, (list, tuple)):
        return (one for one in value if isinstance(one, int))
    return ()


def _all(purposes: Iterable[str], status: Status, mechanism: str) -> tuple[Said, ...]:
    return tuple(Said(purpose, status, mechanism) for purpose in purposes)
