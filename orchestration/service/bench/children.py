"""Processes that a benchmark starts and waits for: the program that makes records, and our own jobs, each alone so that its memory is its own.

Enters: a program or a job. Leaves: files, or the job's answer, which is the last line it printed.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from kernel.errors import InvalidInput

LONGEST_SECONDS: Final = 3600.0  # what takes longer is stopped and reported as failed


def generated(generator: Path, rows: int, seed: int, file: Path, *, more: tuple[float, Path] | None = None) -> None:
    """Have the program that the caller named write `rows` records, and a share of `more` of them into another file.

    Raises:
        InvalidInput: it did not.
    """
    extra = [] if more is None else ["--extra", str(more[0]), str(more[1])]
    done = _run([str(generator), str(rows), str(file), "--seed", str(seed), *extra])
    wanted = [file] if more is None else [file, more[1]]
    if done.returncode or not all(one.is_file() for one in wanted):
        raise InvalidInput(
            f"{generator.name}: expected {len(wanted)} Parquet file(s) of {rows} records, got exit code {done.returncode}",
            remedy="Run it by hand: GENERATOR ROWS OUT.parquet --seed N [--extra SHARE MORE.parquet], and give the files it wrote.",
            code="bench.generator_failed",
        )


def answer(module: str, job: Mapping[str, Any], files: Sequence[str]) -> dict[str, Any]:
    """What one of our modules says about a job in a process of its own; `files` are those that it links.

    Raises:
        InvalidInput: it failed; the remedy has its last words.
    """
    done = _run(["-m", module, json.dumps(job)])
    if done.returncode:
        raise InvalidInput(
            f"linking {', '.join(Path(one).name for one in files)}: expected an answer, got exit code {done.returncode}",
            remedy=f"Its last words: {done.stderr.strip().splitlines()[-1] if done.stderr.strip() else 'none'}",
            code="bench.linkage_failed",
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - ourselves, or the program that the caller named
        [sys.executable, *words], capture_output=True, text=True, check=False, timeout=LONGEST_SECONDS
    )
