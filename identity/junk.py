"""Values that say nothing about who somebody is, found from the data.

Enters: cleaned fields.  Leaves: the same fields without junk identifier values, and how many rows lost one.  A value is
junk when many records bear it and those records have many different names: a family mailbox has few names however busy
it is; "test@test.com", 0000000000 and a kiosk's device have as many names as records (spec identity I13, I14).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from identity.cleaning import Cleaned, Coded, Codes

IDENTIFIERS = ("email", "phone", "national_id", "login_id", "device_id", "customer_id")
CROWD, TIMES = (
    24,
    20,
)  # where nobody is named: rows with one value, and how many times the median of values that rows share
MOST_NAMES_IN_A_FAMILY = 5.0  # effective number of different people behind one honest identifier


def remove_junk(cleaned: Cleaned) -> tuple[Cleaned, dict[str, int]]:
    """Fields without junk values, and rows affected per field."""
    people = _name_codes(cleaned)
    fields, lost = dict(cleaned.fields), {}
    for field in cleaned.of(*IDENTIFIERS):
        bad = crowded_values(field.coded) if people is None else spread_values(field.coded, people)
        if bad.any():
            lost[field.name] = int(field.coded.counts()[bad].sum())
            fields[field.name] = replace(field, coded=field.coded.without(bad))
    return replace(cleaned, fields=fields), lost


def spread_values(field: Coded, people: Codes) -> NDArray[np.bool_]:
    """Mask over the field's values: borne by more than a family's worth of evenly spread names."""
    names = effective_names(field, people)
    return names > MOST_NAMES_IN_A_FAMILY


def crowded_values(field: Coded) -> NDArray[np.bool_]:
    """The same where no names tell: borne by many times more rows than values that rows share are as a rule."""
    counts = field.counts()
    several = counts[counts > 1]
    return (
        np.asarray(counts > max(CROWD, TIMES * float(np.median(several))))
        if len(several)
        else np.zeros(len(counts), bool)
    )


def effective_names(field: Coded, people: Codes) -> NDArray[np.float64]:
    """exp(entropy) of the names behind every value: 1 = one name, n = n equally frequent names."""
    seen = (field.codes >= 0) & (people >= 0)
    size = len(field.values)
    if not seen.any():
        return np.ones(size)
    width = int(people.max()) + 1
    pairs, counts = np.unique(field.codes[seen].astype(np.int64) * width + people[seen], return_counts=True)
    owner = (pairs // width).astype(np.int64)
    total = np.bincount(owner, weights=counts, minlength=size)
    share = counts / total[owner]
    entropy = np.bincount(owner, weights=-share * np.log(share), minlength=size)
    return np.asarray(np.exp(entropy), dtype=np.float64)


def _name_codes(cleaned: Cleaned) -> Codes | None:
    """A rough name: the first two letters of first and last name, so that typos and nicknames count little."""
    parts = [cleaned.fields[n].coded.mapped(lambda v: v[:2]).codes for n in ("first", "last") if n in cleaned.fields]
    if not parts:
        return None
    codes = parts[0].astype(np.int64)
    for part in parts[1:]:
        codes = np.where((codes < 0) | (part < 0), -1, codes * 10_000 + part)
    _, dense = np.unique(codes, return_inverse=True)
    return np.where(codes < 0, -1, dense).astype(np.int32)
