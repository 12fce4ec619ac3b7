"""`candor identity link` and `candor identity score`: stand-alone, they start no store and read no configuration.

Nothing heavy is imported before a command runs.
"""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from kernel.errors import InvalidInput

Columns = list[str] | None


def link(
    files: Annotated[
        list[Path], typer.Argument(help="CSV, JSON Lines or Parquet; several are linked and deduplicated together.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write: every input column and person_id.")],
    record_id: Annotated[str | None, typer.Option("--id", help="Column that names the record.")] = None,
    ignore: Annotated[Columns, typer.Option("--ignore", help="Column to leave out of the comparison.")] = None,
    mapped: Annotated[Columns, typer.Option("--map", help="COL=KIND: what a column holds.")] = None,
    unique: Annotated[
        Columns, typer.Option("--unique", help="Column of which one person never has two values.")
    ] = None,
    shared: Annotated[
        Columns, typer.Option("--shared", help="Column that several people may share: weak evidence.")
    ] = None,
    limit: Annotated[
        Columns,
        typer.Option("--limit", help="KIND=N: one person has N different values of a kind at most, as email=5."),
    ] = None,
    one_to_one: Annotated[bool, typer.Option("--one-to-one", help="Every file holds a person once at most.")] = False,
    add: Annotated[
        list[Path] | None,
        typer.Option(
            "--add", help="More records of the same columns, added to what is linked instead of linking all of it anew."
        ),
    ] = None,
    model: Annotated[Path | None, typer.Option("--model", help="Use this trained model.")] = None,
    save: Annotated[Path | None, typer.Option("--save-model", help="Write the trained model here.")] = None,
    labels: Annotated[
        Path | None,
        typer.Option("--labels", help="Pairs of records that somebody looked at: columns left, right, label (1 or 0)."),
    ] = None,
    ask: Annotated[
        Path | None,
        typer.Option("--ask", help="Write the pairs whose label would put most right here, as CSV for --labels."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Find the people behind records: no labels, no tuning, no store."""
    from pyarrow.csv import write_csv

    from identity.files import write
    from identity.increments import link_more
    from identity.kinds import Overrides
    from identity.labels import questions
    from identity.link import LinkOptions, link_files, load_model, save_model

    options = LinkOptions(
        overrides=Overrides(record_id, ignore or (), dict(_pair(m) for m in mapped or ()), unique or (), shared or ()),
        one_to_one=one_to_one,
        model=load_model(model) if model else None,
        limits=dict(_count(one) for one in limit or ()),
        labels=labels,
    )
    result = link_more(files, add, options, progress=_tell) if add else link_files(files, options, progress=_tell)
    write(result.table, out)
    if save:
        save_model(result.model, save)
    if ask:
        write_csv(questions(result, result.told), ask)
    summary = result.summary()
    for note in summary["notes"]:
        _tell(f"note: {note}")
    if as_json:
        print(json.dumps(summary))
        return
    for line in result.kinds.lines():
        print(line)
    refused = ", ".join(f"{n} {cause}" for cause, n in summary["ambiguous"].items()) or "none"
    print(
        f"{summary['records']} records, {summary['people']} people, largest {summary['max_cluster']}; bridges refused: {refused}"
    )


def score(
    file: Annotated[Path, typer.Argument(help="A file that `candor identity link` wrote.")],
    truth: Annotated[str, typer.Option("--truth", help="Column with the true person.")],
    person: Annotated[str, typer.Option("--person", help="Column with the person found.")] = "person_id",
    as_json: Annotated[bool, typer.Option("--json", help="The answer is JSON with or without this.")] = False,  # noqa: ARG001
) -> None:
    """Compare found people with true ones: pairwise and B-cubed."""
    from identity.score import score_file

    print(json.dumps(score_file(file, truth=truth, person=person)))


def _pair(text: str) -> tuple[str, str]:
    column, equals, kind = text.rpartition("=")
    if not equals:
        raise InvalidInput(
            f"--map: expected COL=KIND, got {text!r}",
            remedy="Write for example --map geb=birth_date.",
            code="identity.bad_map",
        )
    return column, kind


def _count(text: str) -> tuple[str, int]:
    kind, _, most = text.rpartition("=")
    if not kind or not most.isdecimal():
        raise InvalidInput(
            f"--limit: expected KIND=N, got {text!r}",
            remedy="Write for example --limit email=5.",
            code="identity.bad_limit",
        )
    return kind, int(most)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
