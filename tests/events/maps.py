"""Maps as a user would write them."""

EVENTS = """\
source: shop
what: events
format: {delimiter: whitespace, header: false, skip: 1}
subject: {kind: customer_id, column: 0}
event: {constant: Order Completed}
timestamp: {column: 1, format: "%Y%m%d"}
properties: {units: 2, revenue: 3}
collect_under: {purpose: service, basis: contract}
"""

PEOPLE = """\
source: crm
what: people
subject: {kind: login_id, column: id}
columns: {email: email, first: first_name, job: {kind: category, trait: occupation}}
collect_under: {purpose: service, basis: contract, also_for: [marketing.email]}
"""

DECISIONS = """\
source: past
what: decisions
subject: {kind: customer_id, row_number: true, prefix: hill-}
identifiers: [{kind: email, row_number: true, prefix: hill-, suffix: "@example.org"}]
placement: winter_mail
arm: segment
propensity: {constant: 0.3333333333333333}
outcomes: {visit: visit, conversion: conversion, revenue: {column: spend, type: number}}
features: [recency]
collect_under: {purpose: service, basis: contract}
"""

CONSENTS = """\
source: form
what: consents
subject: {kind: email, column: email}
consent: {purpose: marketing.email, status: {column: opted, values: {yes: granted, no: denied}}, mechanism: import, notice: "v3", given_at: day}
"""
