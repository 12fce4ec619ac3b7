"""Put the truth beside what was found: python join_truth.py FOUND.parquet HISTORICAL.parquet OUT.parquet."""

import sys

import duckdb

found, truth, out = sys.argv[1:4]
duckdb.sql(
    "COPY (SELECT t.unique_id, t.cluster, f.person_id FROM read_parquet($truth) t JOIN read_parquet($found) f ON f.source_key = t.unique_id) "
    f"TO '{out}' (FORMAT parquet)",
    params={"truth": truth, "found": found},
)
