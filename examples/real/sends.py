"""What was chosen, what was withheld and why, and what arrived on each channel. Usage: python sends.py FOLDER, with the reports that run.sh wrote there."""

import json
import sys
from pathlib import Path


def counts(found: dict[str, int]) -> str:
    """Words with their numbers, the most frequent first."""
    return ", ".join(f"{word} {number:,}" for word, number in sorted(found.items(), key=lambda one: -one[1])) or "none"


def main(folder: Path) -> None:
    """Print it."""
    sent = {}
    for name in ("winter_mail", "shop_mail", "shop_push"):
        report = json.loads((folder / f"{name}.json").read_text())
        sent[name] = report["deliveries"].get("accepted", 0)
        print(f"{name}: {sum(report['arms'].values()):,} decisions")
        for part, told in (("chosen", "arms"), ("withheld", "withheld"), ("messages", "deliveries")):
            print(f"  {part:<9} {counts(report[told])}")
    page = json.loads((folder / "shop_page.json").read_text())
    print(f"shop_page: {page['visits']:,} visits over HTTP in {page['seconds']} s")
    for part in ("shown", "withheld"):
        print(f"  {part:<9} {counts(page[part])}")
    taken = json.loads((folder / "peers.taken.json").read_text())
    print("by channel")
    print(f"  email     {sent['winter_mail'] + sent['shop_mail']:,} sent; the peer took {taken.get('mail taken', 0):,}")
    print(f"  push      {sent['shop_push']:,} sent; the peer took {taken.get('push taken', 0):,}")
    print(f"  web       {page['words fetched']:,} words fetched; {page['seen'].get('accepted', 0):,} reported as seen")
    strange = {word: number for word, number in taken.items() if word not in {"mail taken", "push taken"}}
    if strange:
        print(f"  refused by the peers: {counts(strange)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
