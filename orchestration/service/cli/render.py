"""Explanations on a terminal: the person's words, and the auditor's numbers as tables."""

from typing import TYPE_CHECKING

from explain.wording import words
from orchestration.service.cli import output

if TYPE_CHECKING:
    from explain.contrast import Contrast, Difference
    from explain.reasons import PersonView
    from explain.views import AuditorView


def person_view(view: "PersonView") -> None:
    """What the person reads."""
    say = output.out.print
    say(view.title, style="bold")
    if view.lead:
        say(view.lead, soft_wrap=True)
    say(view.headline, soft_wrap=True)
    words_ = words(view.locale)
    if view.main_parameters:
        say(f"\n{words_('reasons_heading')}", style="bold")
    for one in view.main_parameters:
        say(f"  • {one.name}: {one.contribution}", soft_wrap=True)
        say(f"    {one.source} {one.purpose}".rstrip(), style="dim", soft_wrap=True)
    for heading, lines in (
        ("rules_heading", view.rules),
        ("levers.heading", view.levers),
        ("who.heading", (*view.who, *([view.permission] if view.permission else ()))),
    ):
        if lines:
            say(f"\n{words_(heading)}", style="bold")
        for line in lines:
            say(f"  • {line}", soft_wrap=True)
    if view.preferences_url:
        say(f"\n{words_('controls.preferences')}: {view.preferences_url}", soft_wrap=True)


def auditor_view(view: "AuditorView") -> None:
    """The record in numbers."""
    told = view.as_json()
    output.facts(
        "Decision",
        [(name.replace("_", " "), told[name]) for name in ("decision_id", "explanation", "redacted", "at", "person", "placement", "purpose", "channel", "choice",
                                                           "propensity", "procedure", "score", "base", "residual", "model", "seed") if name in told],
    )  # fmt: skip
    if view.content is None:
        return
    rows = [
        (
            c.candidate_id,
            c.stage or "",
            c.reason or "",
            "" if c.score is None else f"{c.score:.6f}",
            f"{c.probability:.4f}",
        )
        for c in view.content.facts.candidates
    ]
    output.table("Candidates", ("candidate", "lost at", "reason", "score", "probability"), rows)
    output.table(
        "Kinds of information",
        ("kind", "contribution", "alone", "direction told"),
        [
            (
                one.key,
                f"{one.contribution:+.6f}",
                "" if one.alone is None else f"{one.alone:+.6f}",
                "" if one.alone is None else "none" if one.direction == "together" else one.direction,
            )
            for one in view.content.concepts
        ],
    )
    parts = sorted(view.features, key=lambda part: -abs(part.contribution))
    output.table(
        "Contributions",
        ("feature", "value", "contribution", "from"),
        [
            (
                p.feature,
                "absent" if p.value is None else f"{p.value:g}",
                f"{p.contribution:+.6f}",
                ", ".join(sorted({o.source for o in p.provenance})),
            )
            for p in parts
        ],
    )


def contrast_view(found: "Contrast") -> None:
    """What parts two candidates: where each was lost, and differences that sum to the gap."""
    output.table(
        "Two candidates",
        ("candidate", "chosen", "lost at", "reason", "score", "compared", "probability"),
        [
            (
                one.candidate_id,
                "yes" if one.chosen else "",
                "" if one.stage is None else f"{one.number} {one.stage}",
                one.reason or "",
                "" if one.score is None else f"{one.score:.6f}",
                "" if one.compared is None else f"{one.compared:.6f}",
                f"{one.probability:.4f}",
            )
            for one in (found.a, found.b)
        ],
    )
    if found.gap is not None:
        _differences(f"What parts them: {found.by}, {found.gap:+.6f} {found.unit}".rstrip(), found.differences)
    if found.score_gap is not None:
        _differences(f"What parts their scores: {found.score_gap:+.6f}", found.features)


def _differences(title: str, told: "tuple[Difference, ...]") -> None:
    output.table(
        title,
        ("", "kind", "one", "other", "difference"),
        [
            (
                one.name,
                one.kind,
                "" if one.a is None else f"{one.a:g}",
                "" if one.b is None else f"{one.b:g}",
                f"{one.difference:+.6f}",
            )
            for one in told
        ],
    )
