#!/usr/bin/env bash
# The whole walk on real files: examples/real/run.sh DATA_DIR. Needs up to five minutes and 4 GiB, and keeps nothing, unless KEEP=1 is set.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
data=$(cd "${1:?usage: examples/real/run.sh DATA_DIR}" && pwd)
bin=${BIN:-$here/../../.venv/bin}
export PYTHONPATH=${PYTHONPATH:-$(cd "$here/../.." && pwd)}
candor() { "$bin/candor" "$@"; }
python() { "$bin/python" "$@"; }
say() { printf '\n== %s  (%ss)\n' "$1" "$SECONDS"; }

CANDOR_DATA_DIR=$(mktemp -d /var/tmp/candor-real.XXXXXX)
chmod 711 "$CANDOR_DATA_DIR"  # as root, the embedded Postgres runs as an account of its own and must pass through
export CANDOR_DATA_DIR CANDOR_PROFILES__FEATURES_FILE="$here/features.yaml" CANDOR_CONSENT__JURISDICTION=gdpr COLUMNS=${COLUMNS:-140}
# Two dozen commands follow: compiled once, they start in half the time.
unset PYTHONDONTWRITEBYTECODE; export PYTHONPYCACHEPREFIX="$CANDOR_DATA_DIR/compiled"
made=$CANDOR_DATA_DIR/input
mkdir -p "$made"
peers=
leave() {
  if [ -n "$peers" ]; then kill "$peers" 2>/dev/null || true; fi
  if [ -z "${KEEP:-}" ]; then rm -rf "$CANDOR_DATA_DIR"; else
    printf 'kept; look at it with: export CANDOR_DATA_DIR=%s CANDOR_PROFILES__FEATURES_FILE=%s CANDOR_CONSENT__JURISDICTION=gdpr\n' \
      "$CANDOR_DATA_DIR" "$CANDOR_PROFILES__FEATURES_FILE"
  fi
}
trap leave EXIT
historical=$data/identity/historical_figures_with_errors_50k.parquet
hillstrom=$data/hillstrom/hillstrom_even.csv
bring() { candor import "$1" "$2" --map "$here/maps/$3.map.yaml" 2>/dev/null || candor import "$1" "$2" --map "$here/maps/$3.map.yaml"; }

say "two providers on this machine, for mail and for pushes"
"$bin/python" "$here/peers.py" "$made" & peers=$!  # not through the function: its shell would be ended in its place
say "what the public files lack: addresses, and consents for stated shares: 60 % yes, 15 % no, the others said nothing"
python "$here/prepare.py" "$data" "$made"
candor import catalogue "$here/catalogue.yaml"
where() { python -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$made/peers.json" "$1"; }
push=$(where push)
export CANDOR_CHANNELS__EMAIL_CONNECTOR=sendgrid CANDOR_CHANNELS__SENDGRID__API_KEY=SG.local CANDOR_CHANNELS__SENDGRID__BASE_URL
CANDOR_CHANNELS__SENDGRID__BASE_URL=$(where mail)
export CANDOR_CHANNELS__PUSH__SUBJECT=mailto:push@shop.example CANDOR_CHANNELS__PUSH__PRIVATE_ORIGINS="[\"$push\"]"

say "importing: people, purchases, a clickstream, an experiment's log"
(
  bring people "$historical" historical
  bring consents "$made/historical_consents.csv" historical_consents
  bring consents "$made/cdnow_consents.csv" cdnow_consents
  bring events "$data/cdnow/CDNOW_master.txt" cdnow
  bring people "$made/ecom_contacts.csv" ecom_contacts
  bring consents "$made/ecom_consents.csv" ecom_consents
  bring events "$data/events/ecom.csv.gz" ecom
) > "$made/first.txt" & first=$!
bring people "$made/hillstrom_customers.csv" hillstrom_people
bring consents "$made/hillstrom_consents.csv" hillstrom_consents
bring decisions "$hillstrom" hillstrom_decisions
wait "$first"; cat "$made/first.txt"
printf 'browsers: '; python "$here/subscribe.py" "$made/ecom_contacts.csv" "$push" 300

say "the walk: the whole graph with its checks"
candor pipeline run

rfm=purchase_recency,purchase_frequency,purchase_monetary
(
  say "people found among the historical records, against the truth"
  candor identity export --source historical --out "$made/found.parquet"
  python "$here/join_truth.py" "$made/found.parquet" "$historical" "$made/scored.parquet"
  candor identity score "$made/scored.parquet" --truth cluster
  say "visits and funnels of the shop's clickstream"
  candor report sessions --by platform
  candor report funnel --steps "Product Viewed,Product Added,Checkout Started,Payment Info Entered,Order Completed"
  candor report funnel --steps "Product List Viewed,Product Viewed,Product Added,Order Completed" --per person
) > "$made/second.txt" 2>&1 & second=$!
say "buyers of the music shop: recency, frequency, monetary value as of 1 July 1998"
candor report features --names "$rfm" --at 1998-07-01 --source cdnow
say "what these tell, as of 1 January 1998, of the 90 days after; and what a month's leak would gain"
candor learn forecast --event "Order Completed" --at 1998-01-01 --days 90 --names "$rfm" --source cdnow --probe-days 30
wait "$second"; cat "$made/second.txt"

say "the ranker against uniform and the best single mail, doubly robust, 95 %"
candor learn status winter_mail

say "1,000 decisions over the Hillstrom customers, and the shop's news on three channels"
candor campaign start winter_mail --source hillstrom --limit 1000 --json > "$made/winter_mail.json"
for place in shop_mail shop_push; do
  candor campaign start "$place" --source ecom_contacts --limit 150 --json > "$made/$place.json"
done
python "$here/visit.py" "$made/ecom_contacts.csv" shop_page 150 > "$made/shop_page.json"
python "$here/sends.py" "$made"
candor channel list

say "one explanation, one receipt"
decision=$(python -c 'import json, sys; print(json.load(open(sys.argv[1]))["example"])' "$made/winter_mail.json")
candor why "$decision"
candor receipt "$decision" --out "$made/receipt.json"
candor verify "$made/receipt.json" --key "$(candor audit key)"
say "done"
