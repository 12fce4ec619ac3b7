"""What `candor bench consent` measures: spoilt consent strings, and how fast the gate answers.

Enters: how many strings of each kind, how many questions, a seed. Leaves: a ``Report`` with its bars. No store is touched here (``consent_races.py`` and ``consent_histories.py`` have one). Whether a bit is
set in a string is read here by another road than the decoders' (consent.C7).
"""

import base64
import binascii
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from consent import precedence, purposes
from consent.acts import ActView, Status
from consent.gate import ConsentState, permission
from consent.precedence import Rules
from consent.purposes import EVERYTHING, SALE_SHARE
from consent.signals import gpp, meaning, sections, table, tcf
from consent.signals.errors import Undecodable
from consent.signals.meaning import Heard
from kernel.ids import ActId, PersonId
from orchestration.service.bench import consent_strings as strings
from orchestration.service.bench.consent_histories import ROOMS, Histories
from orchestration.service.bench.consent_races import Races
from orchestration.service.bench.figures import Bar

NOW: Final = datetime(2026, 11, 21, tzinfo=UTC)
VENDOR: Final = 7
EVALUATIONS: Final = 200_000  # a second, on one core
ENFORCED_MS: Final = 1_000.0  # from asking to a state that nothing passes any more
_PURPOSES_AT: Final = 152  # bit of purpose 1 in the core of a TC string of version 2
_OWN_AT: Final = 3  # and in its publisher segment
_SEGMENT_OF_THE_PUBLISHER: Final = 3
_MECHANISMS: Final = ("form", "preference_page", "import", "gpc", "one_click", "tcf", "gpp")


@dataclass(frozen=True, slots=True)
class Spoilt:
    """Strings of one kind. ``unset``: grants without their bits; ``loose``: unreadable or cut, and not a no."""

    kind: str
    strings: int
    read: int
    crashed: int
    unset: int
    loose: int


@dataclass(frozen=True, slots=True)
class Report:
    """All figures, and the bars they are held to. ``races``: withdrawals against sends, ``histories``: doors of a whole house; None when none were asked for."""

    spoilt: Sequence[Spoilt]
    evaluations: int
    per_second: float
    reasons: Mapping[str, int]
    races: Races | None
    histories: Histories | None
    bars: Sequence[Bar]


def run(
    *, spoilt: int, evaluations: int, races: Races | None = None, histories: Histories | None = None, seed: int = 1
) -> Report:
    """Spoil ``spoilt`` strings of each kind, ask the gate ``evaluations`` different questions."""
    rng = random.Random(seed)  # noqa: S311 - a measurement, repeatable
    found = [_spoil(kind, judge, seeds, spoilt, rng) for kind, (seeds, judge) in _kinds().items()]
    asked, per_second, reasons = _ask(evaluations, rng)
    bars = [
        Bar("strings that crash", 0, sum(one.crashed for one in found)),
        Bar("purposes granted whose bit is not set", 0, sum(one.unset for one in found)),
        Bar("unreadable or cut strings that are not a no", 0, sum(one.loose for one in found)),
        Bar("answers of the gate a second on one core", EVALUATIONS, per_second, least=True),
    ]
    if races is not None:
        bars += [
            Bar("sends after the withdrawal was acknowledged", 0, races.late),
            Bar("people permitted after they withdrew", 0, races.permitted),
            Bar("withdrawal to enforcement p99, ms", ENFORCED_MS, races.withdrawal.p99),
        ]
    if histories is not None:
        bars += [Bar(f"forbidden reads in random histories: {room}", 0, histories.forbidden[room]) for room in ROOMS]
        bars.append(
            Bar("permitted reads in random histories, fewest of a room", 1, min(histories.given.values()), least=True)
        )
    return Report(found, asked, per_second, reasons, races, histories, bars)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Whether it can be read, is a no to everything, grants something, and grants without the bits."""

    read: bool
    refused: bool = False
    granted: bool = False
    unset: bool = False


_Judge = Callable[[str], _Verdict]


def _kinds() -> dict[str, tuple[Sequence[str], _Judge]]:
    lately, all_ = NOW - timedelta(days=9), range(1, 12)
    publisher = [
        strings.tc(lately, purposes=all_, vendors=[VENDOR, 300], disclosed=[VENDOR, 300], publisher=all_),
        strings.tc(lately, purposes=[1, 3], publisher=[1, 2, 8, 9], restrictions=[(2, 1, [3, 9])]),
    ]
    vendor = [
        strings.tc(lately, purposes=own, vendors=[3, VENDOR], disclosed=[VENDOR]) for own in (all_, [1, 2, 8, 9], [1])
    ]
    first = ["BObdrPUOevsguAfDqFENCNAAAAAmeAAA", "BOOzQoAOOzQoAAPAFSENCW-AIBACDACAADABkAHg"]
    american = {
        "usnat": "CVVVkkkkkpFY.YA", "usca": "BAAAAABA.QA", "usco": "BVWSSVg.YA", "usde": "BVWSSSSVYA.YA", "usin": "BVVV.kkk",
        "usmd": "BQAA.QA", "usut": "BVVkklWA", "uspv1": "1YNN",
    }  # fmt: skip
    whole = [strings.gpp(sections.by_name()[name].id, text) for name, text in american.items()]
    return {
        "TC, as publisher": (publisher, _as_publisher),
        "TC, as vendor": (vendor, _as_vendor),
        "TC, version 1": (first, _as_publisher),
        "GPP, United States": (whole, _gpp),
        "GPP, Europe": ([strings.gpp(2, text) for text in publisher], _gpp),
        "GPP section, Canada": (["BPSG_8APSG_8AAAAAAENAACAAAAAAAAAAAAAAAAACCgAS7o.YAAAAAAAAAA"], _canada),
    }


def _spoil(kind: str, judge: _Judge, seeds: Sequence[str], count: int, rng: random.Random) -> Spoilt:
    read = crashed = unset = loose = 0
    for _ in range(count):
        whole = rng.choice(seeds)
        text, cut = strings.spoil(whole, rng)
        lost = cut and bool(set(whole[len(text) :]) - {"A"})  # more than padding is gone
        try:
            verdict = judge(text)
        except (ArithmeticError, LookupError, TypeError, ValueError, RecursionError, MemoryError, AttributeError):
            crashed += 1  # whatever else is raised ends the measurement, which is worse
            continue
        read, unset = read + verdict.read, unset + verdict.unset
        loose += (not verdict.read and not verdict.refused) or (lost and verdict.granted)
    return Spoilt(kind, count, read, crashed, unset, loose)


def _as_publisher(text: str) -> _Verdict:
    return _tc(text, None)


def _as_vendor(text: str) -> _Verdict:
    return _tc(text, VENDOR)


def _tc(text: str, vendor: int | None) -> _Verdict:
    said = meaning.of_tcf(text, table.load(), NOW, vendor=vendor)
    readable = _readable(lambda: tcf.decode(text))
    return _Verdict(readable, _refused(said), bool(said.granted), _unset(said, text, vendor))


def _gpp(text: str) -> _Verdict:
    said = meaning.of_gpp(text, table.load(), NOW)
    readable = _readable(lambda: gpp.decode(text))
    european = text.split("~")[1] if "~" in text else ""
    granting = [heard for heard in said if heard.granted]
    refused = bool(said) and all(_refused(heard) for heard in said)
    return _Verdict(readable, refused, bool(granting), any(_unset(heard, european, None) for heard in granting))


def _canada(text: str) -> _Verdict:
    """Nothing is granted by it, cut or whole."""
    return _Verdict(_readable(lambda: gpp.decode_section("tcfcav1", text)), refused=True)


def _readable(decode: Callable[[], object]) -> bool:
    try:
        decode()
    except Undecodable:
        return False
    return True


def _refused(said: Heard) -> bool:
    return bool(said.words) and all(word.status is Status.UNREADABLE for word in said.words)


def _unset(said: Heard, text: str, vendor: int | None) -> bool:
    rules = table.load().tcf.purposes
    needed = {number for purpose in said.granted for number in rules[purpose]}
    if vendor is not None:
        return any(not _bit(text.split(".", maxsplit=1)[0], _PURPOSES_AT + number - 1) for number in needed)
    own = [part for part in text.split(".")[1:] if _number(part, 3) == _SEGMENT_OF_THE_PUBLISHER]
    return any(not any(_bit(part, _OWN_AT + number - 1) for part in own) for number in needed)


def _bit(text: str, at: int) -> bool:
    raw = _raw(text)
    return at // 8 < len(raw) and bool(raw[at // 8] & (0x80 >> at % 8))


def _number(text: str, width: int) -> int:
    raw = _raw(text)
    return raw[0] >> (8 - width) if raw else -1


def _raw(text: str) -> bytes:
    bare = text.rstrip("=")
    try:
        return base64.urlsafe_b64decode(bare + "A" * (-len(bare) % 4))
    except (binascii.Error, ValueError):
        return b""


# the gate


def _ask(evaluations: int, rng: random.Random) -> tuple[int, float, dict[str, int]]:
    """Questions that are all different, of people who said up to eight things; building the states is part of the time."""
    rules = Rules(purposes.load(), precedence.load(), "gdpr")
    questions = [(one.key, channel) for one in rules.purposes.by_key.values() for channel in (None, *one.channels)]
    people = [_acts(f"idn_{place}", rules, rng) for place in range(-(-evaluations // len(questions)))]
    moments = [NOW - timedelta(minutes=rng.randrange(500_000)) for _ in range(4_096)]
    started, done = time.process_time(), 0
    reasons: Counter[str] = Counter()
    for place, acts in enumerate(people):
        state = ConsentState(person=PersonId(f"per_{place}"), version=1, acts=acts, rules=rules)
        for purpose, channel in questions:
            done += 1
            reasons[permission(state, purpose, channel, moments[done % 4_096]).reason] += 1
    spent = time.process_time() - started
    return done, round(done / spent), {str(reason): count for reason, count in reasons.most_common()}


def _acts(subject: str, rules: Rules, rng: random.Random) -> tuple[ActView, ...]:
    return tuple(_act(subject, rules, rng) for _ in range(rng.randint(0, 8)))


def _act(subject: str, rules: Rules, rng: random.Random) -> ActView:
    purpose = rng.choice([*rules.purposes.by_key, *((SALE_SHARE, EVERYTHING) if rng.random() < 0.1 else ())])
    declared = rules.purposes.get(purpose)
    channels: Iterable[str] = declared.channels if declared else ()
    return ActView(
        id=ActId(f"act_{rng.getrandbits(80):024x}"), subject=subject, purpose=purpose, channel=rng.choice([None, *channels]),
        status=rng.choices(tuple(Status), (6, 3, 1))[0], basis="consent", jurisdiction=rng.choice(["gdpr", "default", "us-ca"]),
        mechanism=rng.choice(_MECHANISMS), given_at=NOW - timedelta(minutes=rng.randrange(500_000)),
        expires_at=NOW + timedelta(days=rng.randrange(-300, 300)) if rng.random() < 0.3 else None,
    )  # fmt: skip
