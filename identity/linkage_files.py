"""What a linkage run leaves in the data folder: the model and the edges, by record id. No words, and nobody who was erased.

Enters: a trained model, edges and the record id of each row. Leaves: ``linkage/model.json`` and ``linkage/edges.parquet``, written beside and
renamed, so that a reader sees a whole file or none. The model's file holds levels and probabilities, no values. An erasure takes
its records out of the edges at once.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from identity.errors import LinkageNotReady
from kernel.ids import RecordId

if TYPE_CHECKING:
    import numpy as np
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
        import pyarrow.parquet as pq

        self.folder.mkdir(parents=True, exist_ok=True)
        names = pa.array(ids, pa.string())
        columns = {"left": names.take(pa.array(found.left)), "right": names.take(pa.array(found.right))}
        whole = self._edges.with_suffix(".new")
        pq.write_table(pa.table({**columns, "weight": found.weight}), whole)
        whole.replace(self._edges)

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
        place = {record: index for index, record in enumerate(ids)}
        left = [place.get(record, -1) for record in table.column("left").to_pylist()]
        right = [place.get(record, -1) for record in table.column("right").to_pylist()]
        kept = np.array([a >= 0 and b >= 0 for a, b in zip(left, right, strict=True)], dtype=bool)
        weight = table.column("weight").to_numpy()
        return Edges(np.array(left, dtype=np.int64)[kept], np.array(right, dtype=np.int64)[kept], weight[kept])

    def write_rows(self, ids: Sequence[RecordId], full: "NDArray[np.bool_]") -> None:
        """Keep which records the edges were looked for among; ``full[row]``: already by the last run that weighed everything."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.folder.mkdir(parents=True, exist_ok=True)
        whole = self._rows.with_suffix(".new")
        pq.write_table(pa.table({"record": pa.array(ids, pa.string()), "full": full}), whole)
        whole.replace(self._rows)

    def read_rows(self) -> dict[RecordId, bool]:
        """Records that edges were looked for among, each with whether the last full run did; none before the first."""
        import pyarrow.parquet as pq

        if not self._rows.is_file() or not self._edges.is_file():
            return {}
        table = pq.read_table(self._rows)
        return dict(zip(table.column("record").to_pylist(), table.column("full").to_pylist(), strict=True))

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
        weights: NDArray[np.float64] = pq.read_table(self._edges, columns=["weight"]).column("weight").to_numpy()
        return weights

    def ends(self) -> list[RecordId]:
        """Every record that an edge ends at, once; none when no edges were kept."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        if not self._edges.is_file():
            return []
        table = pq.read_table(self._edges, columns=["left", "right"])
        both = pa.concat_arrays([table.column(name).combine_chunks() for name in ("left", "right")])
        return [RecordId(one) for one in pc.unique(both).to_pylist()]

    def without(self, records: Sequence[RecordId]) -> int:
        """Take every edge of these records out of the file; how many went. A missing file holds nobody."""
        if not self._edges.is_file() or not records:
            return 0
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        table = pq.read_table(self._edges)
        gone = pa.array(records, pa.string())
        theirs = pc.or_(pc.is_in(table.column("left"), gone), pc.is_in(table.column("right"), gone))
        kept = table.filter(pc.invert(theirs))
        if kept.num_rows < table.num_rows:
            whole = self._edges.with_suffix(".new")
            pq.write_table(kept, whole)
            whole.replace(self._edges)
        if self._rows.is_file():
            rows = pq.read_table(self._rows)
            left = rows.filter(pc.invert(pc.is_in(rows.column("record"), gone)))
            if left.num_rows < rows.num_rows:
                whole = self._rows.with_suffix(".new")
                pq.write_table(left, whole)
                whole.replace(self._rows)
        return int(table.num_rows - kept.num_rows)
