"""Write docs/compliance/gate.csv: what the gate answers to every signal and every two of them. Run `python docs/compliance/make_gate.py` from the project's folder."""

from pathlib import Path

from consent import precedence, purposes, truth
from consent.precedence import Rules

TABLE = Path(__file__).parent / "gate.csv"


def main() -> None:
    """Write the file."""
    TABLE.write_text(truth.as_csv(Rules(purposes.load(), precedence.load())), encoding="utf-8")
    print(f"{TABLE.name}: {sum(1 for _ in TABLE.open(encoding='utf-8')) - 1} rows")


if __name__ == "__main__":
    main()
