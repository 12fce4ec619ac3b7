#!/usr/bin/env bash
# Generated messages as bodies of SendGrid's mail/send, judged by Twilio's own OpenAPI document (served by Prism; both stay outside this project).
# usage: examples/peers/sendgrid.sh [--count 200] [--json]      prints "200 generated messages, 0 violations"
set -euo pipefail
cd "$(dirname "$0")/../.."
PYTHONPATH="$PWD" exec "${PYTHON:-.venv/bin/python}" -m tests.support.prism "$@"
