"""A small world of mistyped person records with truth, for the linkage tests."""

import random

import pyarrow as pa

from identity.lexicon import family_names, given_names

GIVEN = sorted(n for n in given_names() if len(n) > 3)
FAMILY = sorted(n for n in family_names() if len(n) > 3)


def typo(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text))
    return text[:at] + rng.choice("aeiorst") + text[at + rng.randrange(2) :]


def world(people: int = 250, seed: int = 1) -> pa.Table:
    """Two to four records a person; names, birth dates, e-mail and postcode with errors and gaps."""
    rng = random.Random(seed)
    rows = []
    for who in range(people):
        first, last = rng.choice(GIVEN), rng.choice(FAMILY)
        birth = f"{rng.randint(1930, 2005)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
        mail, code = f"{first}.{last}{who}@example.org", f"{rng.randint(10000, 10900)}"
        rows.extend(
            {
                "first_name": typo(first, rng) if rng.random() < 0.1 else first,
                "surname": typo(last, rng) if rng.random() < 0.1 else last,
                "dob": birth if rng.random() < 0.8 else None,
                "email": mail if rng.random() < 0.7 else None,
                "postcode": code if rng.random() < 0.9 else None,
                "who": who,
            }
            for _ in range(rng.randint(2, 4))
        )
    rng.shuffle(rows)
    return pa.Table.from_pylist([{"rec": f"r{i:05d}", **row} for i, row in enumerate(rows)])
