#!/usr/bin/env bash
# The whole walk on real files: examples/real/run.sh DATA_DIR. Needs about four minutes and keeps nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=$(cd "${1:?usage: examples/real/run.sh DATA_DIR}" && pwd)
bin=${BIN:-$here/../../.venv/bin}
candor() { "$bin/candor" "$@"; }
say() { printf '\n== %s  (%ss)\n' "$1" "$SECONDS"; }

CANDOR_DATA_DIR=$(mktemp -d /var/tmp/candor-real.XXXXXX)
chmod 711 "$CANDOR_DATA_DIR"  # as root, the embedded Postgres runs as an account of its own and must pass through
export CANDOR_DATA_DIR CANDOR_PROFILES__FEATURES_FILE="$here/features.yaml" CANDOR_CONSENT__JURISDICTION=gdpr COLUMNS=${COLUMNS:-140}
trap 'rm -rf "$CANDOR_DATA_DIR"' EXIT
made=$CANDOR_DATA_DIR/input
historical=$data/identity/historical_figures_with_errors_50k.parquet
hillstrom=$data/hillstrom/hillstrom_even.csv

say "consents for stated shares: 60 % yes, 15 % no, the others said nothing"
"$bin/python" "$here/prepare.py" "$data" "$made"

say "importing"
candor import catalogue "$here/catalogue.yaml"
candor import people "$historical" --map "$here/maps/historical.map.yaml"
candor import consents "$made/historical_consents.csv" --map "$here/maps/historical_consents.map.yaml"
candor import people "$hillstrom" --map "$here/maps/hillstrom_people.map.yaml"
candor import people "$made/hillstrom_contacts.csv" --map "$here/maps/hillstrom_contacts.map.yaml"
candor import consents "$made/hillstrom_consents.csv" --map "$here/maps/hillstrom_consents.map.yaml"
candor import decisions "$hillstrom" --map "$here/maps/hillstrom_decisions.map.yaml"

say "the walk"
candor pipeline run

say "people found among the historical records, against the truth"
candor identity export --source historical --out "$made/found.parquet"
"$bin/python" "$here/join_truth.py" "$made/found.parquet" "$historical" "$made/scored.parquet"
candor identity score "$made/scored.parquet" --truth cluster

say "the ranker against uniform and the best single mail, doubly robust, 95 %"
candor learn status winter_mail

say "1,000 decisions over the Hillstrom customers"
candor campaign start winter_mail --source hillstrom --limit 1000 --json > "$made/campaign.json"
"$bin/python" - "$made/campaign.json" <<'PY'
import json, sys
report = json.load(open(sys.argv[1]))
for name in ("arms", "withheld", "deliveries"):
    print(f"{name:<11}", ", ".join(f"{key} {count:,}" for key, count in report[name].items()))
PY
printf 'messages in the outbox: %s\n' "$(find "$CANDOR_DATA_DIR/outbox" -name '*.eml' | wc -l)"

say "one explanation, one receipt"
decision=$("$bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["example"])' "$made/campaign.json")
candor why "$decision"
candor receipt "$decision" --out "$made/receipt.json"
candor verify "$made/receipt.json" --key "$(candor audit key)"
say "done"
