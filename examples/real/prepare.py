"""Write what the public files lack: consents for stated shares of the people, and addresses at example.org.

Usage: python prepare.py DATA_DIR OUT_DIR. The shares are fixed below and drawn by a hash of the id, so that every run makes the same files.
"""

import csv
import gzip
import hashlib
import sys
from pathlib import Path

import pyarrow.parquet as pq

SAID_YES, SAID_NO = 0.60, 0.15  # the rest said nothing: nothing may be sent to them
REACHABLE = 0.90  # share of customers with an address
GIVEN_AT = "2026-01-15T09:00:00+00:00"
MUSIC_GIVEN_AT = "1996-12-01T09:00:00+00:00"  # before the first purchase of the file: what was learned of them then was permitted then


def draw(kind: str, name: str) -> float:
    """A number in [0, 1) that depends on the name alone."""
    return int.from_bytes(hashlib.sha256(f"{kind}:{name}".encode()).digest()[:8], "big") / 2**64


def said(name: str) -> str | None:
    """What this one said, if anything."""
    place = draw("consent", name)
    return "granted" if place < SAID_YES else "denied" if place < SAID_YES + SAID_NO else None


def write(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    """One CSV file."""
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(columns)
        writer.writerows(rows)
    print(f"{path.name}: {len(rows):,} rows")


def main(data: Path, out: Path) -> None:
    """Write the six files."""
    out.mkdir(parents=True, exist_ok=True)
    table = pq.read_table(data / "identity" / "historical_figures_with_errors_50k.parquet", columns=["unique_id"])
    records = [str(one) for one in table.column("unique_id").to_pylist()]
    rows = [(name, word, GIVEN_AT) for name in records if (word := said(name))]
    write(out / "historical_consents.csv", ("unique_id", "status", "given_at"), rows)
    with (data / "hillstrom" / "hillstrom_even.csv").open(encoding="utf-8", newline="") as handle:
        table = list(csv.DictReader(handle))
    customers = [f"hill-{number}" for number in range(1, len(table) + 1)]
    known = ("recency", "history", "mens", "womens", "newbie", "zip_code", "channel")
    write(
        out / "hillstrom_customers.csv",
        ("customer_id", "email", *known),
        [
            (name, f"{name}@example.org" if draw("address", name) < REACHABLE else "", *(row[key] for key in known))
            for name, row in zip(customers, table, strict=True)
        ],
    )
    rows = [(name, word, GIVEN_AT) for name in customers if (word := said(name))]
    write(out / "hillstrom_consents.csv", ("customer_id", "status", "given_at"), rows)
    with gzip.open(data / "events" / "ecom.csv.gz", "rt", encoding="utf-8") as handle:
        visitors = sorted({line.partition(",")[0] for line in handle} - {"user_id"})
    rows = [(name, word, GIVEN_AT) for name in visitors if (word := said(name))]
    write(out / "ecom_consents.csv", ("user_id", "status", "given_at"), rows)
    with (data / "cdnow" / "CDNOW_master.txt").open(encoding="utf-8") as handle:
        next(handle)
        buyers = sorted({line.split()[0] for line in handle if line.strip()})
    rows = [(name, word, MUSIC_GIVEN_AT) for name in buyers if (word := said(f"cdnow-{name}"))]
    write(out / "cdnow_consents.csv", ("customer", "status", "given_at"), rows)
    write(out / "ecom_contacts.csv", ("user_id", "email"), [(name, f"{name}@example.org") for name in visitors])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
