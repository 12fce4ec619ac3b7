"""The whole console on one page: importing a module declares its pages, and their order is the order of matching."""

from orchestration.service.console import (
    decisions,
    deliveries,
    experiments,
    finding,
    judging,
    learners,
    linkage,
    log,
    login,
    models,
    overview,
    people,
    reasons,
    reviews,
    rights,
    rules,
    staff,
    whatif,
    why,
)
from orchestration.service.console.pages import router

PAGES = (
    login, overview, finding, judging, linkage, people, decisions, why, whatif, deliveries, log, models, reasons, reviews,
    experiments, learners, rights, rules, staff,
)  # fmt: skip

__all__ = ["PAGES", "router"]
