"""The demo's first screen: one proof, then the rest in one table. Every figure comes from the `Story` of this run.

Enters: a `Story`. Leaves: text on a terminal.
"""

from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from orchestration.demo.story import Story
from orchestration.learning.lift import Lift


def show(story: Story, out: Console, *, base_url: str, serving: bool) -> None:
    """Print the proof, the table and where to look."""
    out.print()
    out.print(
        Panel(
            Group(*_proof(story)),
            title="An email about an abandoned cart, for customers who had lapsed",
            title_align="left",
        )
    )
    out.print(_table(story))
    for line in _where(story, base_url, serving=serving):
        out.print(line, soft_wrap=True)


def _proof(story: Story) -> Iterator[Text]:
    found = story.lift
    yield Text(
        f"{found.treated:,} got Candor's choice and {_share(found.treated_hits, found.treated)} of them bought; "
        f"{found.held:,} were held out and {_share(found.held_hits, found.held)} of them bought."
    )
    yield Text(
        f"Lift {found.difference * 100:+.1f} points, 95 % interval {found.low * 100:+.1f} to {found.high * 100:+.1f}: {_verdict(found)}.",
        style="bold",
    )
    yield Text(
        f"With groups of this size, a difference below {found.mde * 100:.1f} points cannot be seen.", style="dim"
    )
    if story.values:
        told = ", ".join(f"{name} {value:.1%}" for name, value in story.values.items())
        yield Text(f"In this world the truth is known. Expected share that buys: {told}.")
        yield Text(f"{story.best_shown:.0%} got the message that works best on them.")


def _verdict(found: Lift) -> str:
    if found.low > 0:
        return "it helped"
    return "it harmed" if found.high < 0 else "no difference can be claimed"


def _table(story: Story) -> Table:
    grid = Table(
        box=None, show_header=False, pad_edge=False, title="The walk", title_justify="left", title_style="bold"
    )
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in _rows(story):
        grid.add_row(name, value)
    return grid


def _rows(story: Story) -> Iterator[tuple[str, str]]:
    pairs = story.scores["pairwise"]
    assert isinstance(pairs, dict)
    yield "records → people", f"{story.records:,} records of {story.people:,} people → {story.found:,} found"
    yield (
        "",
        f"pairwise F1 {pairs['f1']:.3f} (precision {pairs['precision']:.3f}, recall {pairs['recall']:.3f}) against the world's truth",
    )
    for report in story.imports:
        if report.what in {"events", "consents", "decisions"}:
            words = f"{report.accepted:,} of {report.rows:,} taken"
            words += f", {report.filtered:,} refused for want of permission" if report.filtered else ""
            yield (
                f"{report.what}: {report.source}",
                words + (f", {report.rejected:,} faulty" if report.rejected else ""),
            )
    facts: dict[str, Any] = {f"{one.asset}.{key}": value for one in story.walked for key, value in one.facts.items()}
    if "unified_profiles.profiles" in facts:
        yield (
            "profiles",
            f"{facts['unified_profiles.profiles']:,} through the consent filter, {facts.get('features.features', 0)} features each",
        )
    if story.example is not None or story.values:
        promoted = facts.get("ranker.cart_rescue_promoted")
        rows = facts.get("ranker.cart_rescue_rows")
        if rows is not None:
            yield (
                "model",
                f"trained on {rows:,} logged decisions; {'promoted by the gate' if promoted else 'held back by the gate, rules rank'}",
            )
    carts = ", ".join(f"{count:,} {status}" for status, count in sorted(story.collected.items()))
    yield "today's carts", carts
    campaign = story.campaign
    yield "decisions by message", ", ".join(f"{arm} {count:,}" for arm, count in campaign.arms.items())
    yield "by channel", ", ".join(f"{channel} {count:,}" for channel, count in campaign.channels.items())
    yield (
        "withheld, by reason",
        ", ".join(f"{why.rsplit(':', 1)[-1]} {count:,}" for why, count in campaign.withheld.items()) or "none",
    )
    yield "messages", ", ".join(f"{state} {count:,}" for state, count in campaign.deliveries.items()) or "none"
    if campaign.failed:
        yield "accidents", ", ".join(f"{code} {count}" for code, count in campaign.failed.items())
    yield (
        "log",
        f"{story.leaves:,} entries under the signed checkpoint; derived again from its leaves: {'nothing altered' if story.verified else 'ALTERED'}",
    )
    if story.verdict is not None:
        yield (
            "receipt",
            f"of {story.example}: {'verifies offline' if story.verdict.ok and story.verdict.trusted else 'DOES NOT VERIFY'}",
        )
    yield "time", ", ".join(f"{name.split(':')[0]} {seconds:.1f} s" for name, seconds in story.seconds.items())


def _where(story: Story, base_url: str, *, serving: bool) -> Iterator[str | Text]:
    yield ""
    yield Text("Where to look", style="bold")
    if story.example:
        yield f"  why that message      candor why {story.example}"
    if story.receipt:
        yield f'  check the proof       candor verify {story.receipt} --key "$(candor audit key)"'
    yield f"  the messages          {story.outbox}"
    yield f"  what sends by itself  candor trigger list   ({story.triggers} live: an hour after a cart was filled, unless it was bought)"
    if serving:
        yield f"  a page of the shop    {base_url}/demo/shop"
        yield f"  the console           {base_url}/console   (a login: candor staff add NAME --scope officer --scope auditor)"
        yield f"  the HTTP API          {base_url}/docs/api"
        yield f"  the signed checkpoint {base_url}/audit/checkpoint"


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "none"
