"""What a linkage run leaves in the data folder: the model and the edges, by record id. No words, and nobody who was erased.

Enters: a trained model, edges and the record id of each row. Leaves: ``linkage/model.json`` and ``linkage/edges.parquet``, written beside and
renamed, so that a reader sees a whole file or none. The model's file holds levels and probabilities, no values. An erasure notes its
records in ``linkage/gone.txt``, which every reader honours from then on; soon after, or with the next run, the files are written without them (``compact``).
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from identity.errors import LinkageNotReady
from kernel.ids import RecordId

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from identity.linkage import Edges
    from identity.training import LinkageModel

FOLDER: Final = "linkage"


class LinkageFiles:
    """One folder of a data folder. Plain functions over files: call them in a thread."""

    def __init__(self, data_dir: Path) -> None:
        self.folder = data_dir / FOLDER
        self._model = self.folder / "model.json"
        self._edges = self.folder / "edges.parquet"
        self._rows = self.folder / "rows.parquet"
        self._gone = self.folder / "gone.txt"

    def write_model(self, model: "LinkageModel") -> None:
        """Keep the model of the last training."""
        self.folder.mkdir(parents=True, exist_ok=True)
        whole = self._model.with_suffix(".new")
        whole.write_text(json.dumps(model.as_json(), indent=1), encoding="utf-8")
        whole.replace(self._model)

    def read_model(self) -> "LinkageModel":
        """The model of the last training.

        Raises:
            LinkageNotReady: there was none.
        """
        from identity.link import load_model

        if not self._model.is_file():
            raise LinkageNotReady("expected a trained linkage model, got none")
        return load_model(self._model)

    def write_edges(self, found: "Edges", ids: Sequence[RecordId]) -> None:
        """Keep edges; ``ids[row]`` is the record of a row."""
        import pyarrow as pa

        self.folder.mkdir(parents=True, exist_ok=True)
        names = pa.array(ids, pa.string())
        columns = {"left": names.take(pa.array(found.left)), "right": names.take(pa.array(found.right))}
        with self._locked("writing"):
            _put(pa.table({**columns, "weight": found.weight}), self._edges)

    def read_edges(self, ids: Sequence[RecordId]) -> "Edges":
        """The edges between rows of ``ids``; those of records that are not among them are left out.

        Raises:
            LinkageNotReady: none were kept.
        """
        import numpy as np
        import pyarrow.parquet as pq

        from identity.linkage import Edges

        if not self._edges.is_file():
            raise LinkageNotReady("expected edges, got none")
        table = pq.read_table(self._edges)
        gone = self.gone()
        place = {record: index for index, record in enumerate(ids) if record not in gone}
        left = [place.get(record, -1) for record in table.column("left").to_pylist()]
        right = [place.get(record, -1) for record in table.column("right").to_pylist()]
        kept = np.array([a >= 0 and b >= 0 for a, b in zip(left, right, strict=True)], dtype=bool)
        weight = table.column("weight").to_numpy()
        return Edges(np.array(left, dtype=np.int64)[kept], np.array(right, dtype=np.int64)[kept], weight[kept])

    def write_rows(self, ids: Sequence[RecordId], full: "NDArray[np.bool_]") -> None:
        """Keep which records the edges were looked for among; ``full[row]``: already by the last run that weighed everything."""
        import pyarrow as pa

        self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked("writing"):
            _put(pa.table({"record": pa.array(ids, pa.string()), "full": full}), self._rows)

    def read_rows(self) -> dict[RecordId, bool]:
        """Records that edges were looked for among, each with whether the last full run did; none before the first."""
        import pyarrow.parquet as pq

        if not self._rows.is_file() or not self._edges.is_file():
            return {}
        table, gone = pq.read_table(self._rows), self.gone()
        both = zip(table.column("record").to_pylist(), table.column("full").to_pylist(), strict=True)
        return {record: full for record, full in both if record not in gone}

    def model_age(self, now: datetime) -> timedelta | None:
        """How long ago the model was trained; None without one."""
        if not self._model.is_file():
            return None
        return max(timedelta(0), now - datetime.fromtimestamp(self._model.stat().st_mtime, UTC))

    def read_weights(self) -> "NDArray[np.float64]":
        """The weights alone, in no order that tells anything.

        Raises:
            LinkageNotReady: no edges were kept.
        """
        import pyarrow.parquet as pq

        if not self._edges.is_file():
            raise LinkageNotReady("expected edges, got none")
        weights: NDArray[np.float64] = self._living(pq.read_table(self._edges)).column("weight").to_numpy()
        return weights

    def ends(self) -> list[RecordId]:
        """Every record that an edge ends at, once; none when no edges were kept."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        if not self._edges.is_file():
            return []
        table = self._living(pq.read_table(self._edges, columns=["left", "right"]))
        both = pa.concat_arrays([table.column(name).combine_chunks() for name in ("left", "right")])
        return [RecordId(one) for one in pc.unique(both).to_pylist()]

    def without(self, records: Sequence[RecordId]) -> None:
        """No reader meets these records from now on: durable when it returns, and as quick for many edges as for few. A missing file holds nobody."""
        if not records or not (self._edges.is_file() or self._rows.is_file()):
            return
        with self._locked("noting"), self._gone.open("a", encoding="utf-8") as noted:
            noted.writelines(f"{one}\n" for one in records)
            noted.flush()
            os.fsync(noted.fileno())

    def gone(self) -> frozenset[str]:
        """Records that left since the files were written."""
        return frozenset(self._gone.read_text(encoding="utf-8").split()) if self._gone.is_file() else frozenset()

    def compact(self) -> int:
        """Write the files without those who left; how many records that were. Who leaves meanwhile is noted and goes next time."""
        import pyarrow.parquet as pq

        gone = self.gone()
        if not gone:
            return 0
        with self._locked("writing"):  # not while a run of another process writes what this would overwrite
            for file in (self._edges, self._rows):
                if file.is_file():
                    table = pq.read_table(file)
                    kept = self._living(table, gone)
                    if kept.num_rows < table.num_rows:
                        _put(kept, file)
        # A crash before this leaves notes of records that no file holds: they are honoured again, and go again.
        with self._locked("noting"):
            left = self._gone.with_suffix(".new")
            left.write_text("".join(f"{one}\n" for one in sorted(self.gone() - gone)), encoding="utf-8")
            left.replace(self._gone)
        return len(gone)

    def _living(self, table: "pa.Table", gone: frozenset[str] | None = None) -> "pa.Table":
        import pyarrow as pa
        import pyarrow.compute as pc

        known = pa.array(sorted(self.gone() if gone is None else gone), pa.string())
        if not len(known):
            return table
        for name in {"left", "right", "record"}.intersection(table.column_names):
            table = table.filter(pc.invert(pc.is_in(table.column(name), known)))
        return table

    @contextmanager
    def _locked(self, what: str) -> Iterator[None]:
        """One at a time, of whichever process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.folder / f"{what}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)  # lets go of it too


def _put(table: "pa.Table", file: Path) -> None:
    """The whole file or none of it."""
    import pyarrow.parquet as pq

    whole = file.with_suffix(".new")
    pq.write_table(table, whole)
    whole.replace(file)
