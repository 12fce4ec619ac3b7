"""What a person takes along: files that another installation imports as they are (consent.D9; GDPR Art. 20).

What enters: what is held of her and surely hers. What leaves: JSON lines with a map beside each, in the form of `candor import FILE --map MAP.yaml`: people, events, consents. Only what
she gave or what was observed of her under consent or contract goes along (Art. 20(1)); what was derived does not. ``ORDER`` says in which order to import.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import yaml

from identity.records import SourceRecord
from kernel.canonical import Json

FOLDER: Final = "portable"
_BASES: Final = frozenset({"consent", "contract"})
_FIRST: Final = ("customer_id", "login_id", "email", "anonymous_id", "device_id", "phone", "national_id", "push")


def files(holdings: Mapping[str, Json], records: Sequence[SourceRecord], strange: Collection[str]) -> dict[str, bytes]:
    """By name: ``portable/01-people-shop.jsonl`` and its ``.map.yaml``."""
    own = [one for one in records if one.current and one.id not in strange and one.basis in _BASES]
    made = _people(own) + _events(_items(holdings.get("events"), "events"), {one.id: one for one in records})
    made += _consents(_items(holdings.get("consent"), "acts"), own)
    found: dict[str, bytes] = {}
    for place, (name, rows, told) in enumerate(made, start=1):
        stem = f"{FOLDER}/{place:02}-{name}"
        found[f"{stem}.jsonl"] = b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)
        found[f"{stem}.map.yaml"] = yaml.safe_dump(told, sort_keys=False, allow_unicode=True).encode()
    return found


_Group = tuple[str, str, str, tuple[str, ...], str, tuple[str, ...]]
_Made = list[tuple[str, list[dict[str, Json]], dict[str, Json]]]


def _people(records: Sequence[SourceRecord]) -> _Made:
    groups: defaultdict[tuple[str, str, str, tuple[str, ...]], list[SourceRecord]] = defaultdict(list)
    for one in records:
        groups[one.source, one.purpose, one.basis, one.also_for].append(one)
    made: _Made = []
    for (source, purpose, basis, also_for), group in sorted(groups.items()):
        columns: dict[str, Json] = {}
        rows: list[dict[str, Json]] = []
        for one in group:
            row: dict[str, Json] = {"key": one.source_key, "observed_at": one.observed_at.isoformat()}
            seen: defaultdict[str, int] = defaultdict(int)
            for held in sorted(one.identifiers, key=lambda i: (i.kind, i.value)):
                seen[held.kind] += 1
                name = f"id_{held.kind}_{seen[held.kind]}"
                row[name], columns[name] = held.value, {"kind": held.kind}
            for trait, value in one.traits.items():
                row[f"trait_{trait}"] = value
                kind = one.kinds.get(trait, "text")
                columns[f"trait_{trait}"] = {"kind": kind, "trait": trait, "type": _type(value)}
            rows.append(row)
        told: dict[str, Json] = {
            "source": source, "what": "people", "format": {"kind": "jsonl"}, "columns": columns,
            "subject": {"kind": "record", "column": "key"}, "timestamp": {"column": "observed_at"},
            "collect_under": {"purpose": purpose, "basis": basis, "also_for": list(also_for)},
        }  # fmt: skip
        made.append((f"people-{source}", rows, told))
    return made


def _events(events: Sequence[Mapping[str, Json]], records: Mapping[str, SourceRecord]) -> _Made:
    """Grouped so that in one file a property is either text everywhere or nowhere: text that looks like a number stays text."""
    groups: defaultdict[_Group, list[tuple[Mapping[str, Json], str]]] = defaultdict(list)
    for event in events:
        record = records.get(str(event["record"]))
        subject = min(record.identifiers, key=lambda i: _FIRST.index(i.kind) if i.kind in _FIRST else 99) if record and record.identifiers else None  # fmt: skip
        if subject is None or event["basis"] not in _BASES or event["type"] != "track" or event["machine"]:
            continue
        properties = event["properties"] if isinstance(event["properties"], Mapping) else {}
        texts = tuple(sorted(name for name, value in properties.items() if isinstance(value, str)))
        declared = (str(event["source"]), str(event["purpose"]), str(event["basis"]))
        also_for = record.also_for if record and declared == (record.source, record.purpose, record.basis) else ()
        key = (*declared, also_for, subject.kind, texts)
        groups[key].append((event, subject.value))
    made: _Made = []
    for place, ((source, purpose, basis, also_for, kind, texts), group) in enumerate(sorted(groups.items()), start=1):
        rows: list[dict[str, Json]] = []
        names: set[str] = set()
        for event, who in group:
            properties = event["properties"] if isinstance(event["properties"], Mapping) else {}
            names |= properties.keys()
            rows.append(
                {"id": event["id"], "who": who, "name": event["name"], "event_time": event["event_time"]}
                | {f"property_{name}": value for name, value in properties.items()}
            )
        told: dict[str, Json] = {
            "source": source, "what": "events", "format": {"kind": "jsonl"},
            "subject": {"kind": kind, "column": "who"}, "event": {"column": "name", "type": "text"},
            "timestamp": {"column": "event_time"}, "message_id": {"column": "id", "type": "text"},
            "collect_under": {"purpose": purpose, "basis": basis, "also_for": list(also_for)},
        }  # fmt: skip
        if names:
            told["properties"] = {
                name: {"column": f"property_{name}", "type": "text" if name in texts else "auto"}
                for name in sorted(names)
            }
        made.append((f"events-{source}-{place}", rows, told))
    return made


def _consents(acts: Sequence[Mapping[str, Json]], records: Sequence[SourceRecord]) -> _Made:
    """Her words on her contacts. A yes keeps notice, time and way; another system decides what an imported yes is worth."""
    contact = next((i for one in records for i in sorted(one.identifiers, key=lambda i: i.kind != "email")), None)
    own = [act for act in acts if act["purpose"] not in {"*", "sale_share"}]
    if contact is None or not own:
        return []
    rows: list[dict[str, Json]] = []
    for act in own:
        notice = act.get("notice")
        rows.append({
            "who": contact.value, "purpose": act["purpose"], "status": act["status"], "channel": act["channel"] or "",
            "basis": act["basis"], "jurisdiction": act["jurisdiction"], "given_at": act["given_at"],
            "notice": str(notice["version"]) if isinstance(notice, Mapping) else "",
        })  # fmt: skip
    told: dict[str, Json] = {
        "source": "candor-consents", "what": "consents", "format": {"kind": "jsonl"},
        "subject": {"kind": contact.kind, "column": "who"},
        "consent": {
            "mechanism": "import",
            **{name: {"column": name} for name in ("purpose", "status", "channel", "basis", "jurisdiction", "given_at", "notice")},
        },
    }  # fmt: skip
    return [("consents", rows, told)]


def _items(part: Json, name: str) -> list[Mapping[str, Json]]:
    items = part.get(name) if isinstance(part, Mapping) else None
    return [item for item in items if isinstance(item, Mapping)] if isinstance(items, list | tuple) else []


def _type(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "auto" if isinstance(value, int | float) else "text"
