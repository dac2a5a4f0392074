"""Rows back into JSONL, CSV or Parquet, as load_rows reads them."""

import csv
import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from evaluation.rows import FIELDS, Row
from evaluation.sources import LIST_COLUMNS


def row_record(row: Row) -> dict[str, Any]:
    """The row as a JSON object that load_rows reads back."""
    record: dict[str, Any] = {"prompt": row.prompt, "completion": row.completion, "text": row.text}
    record["references"] = list(row.references) or None
    record["messages"] = [{"role": m.role, "content": m.content} for m in row.messages] or None
    return {key: value for key, value in record.items() if value is not None}


def rows_digest(rows: Iterable[Row]) -> str:
    """Two evaluations with the same digest looked at identical items."""
    whole = hashlib.sha256()
    for row in rows:
        whole.update(json.dumps(row_record(row), sort_keys=True).encode() + b"\n")
    return f"sha256:{whole.hexdigest()}"


def write_rows(path: Path, rows: Sequence[Row], format: str) -> None:
    """Writes the file; `format` is "jsonl", "csv" or "parquet"."""
    records = [row_record(row) for row in rows]
    columns = [name for name in FIELDS if any(name in record for record in records)]
    if format == "parquet":
        # pyarrow costs a third of a second to import and only Parquet files need it.
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.table({name: [record.get(name) for record in records] for name in columns})
        pyarrow.parquet.write_table(table, path)
        return
    with path.open("w", encoding="utf-8", newline="") as stream:
        if format == "jsonl":
            stream.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
            return
        table_writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        table_writer.writeheader()
        table_writer.writerows(
            {k: json.dumps(v, ensure_ascii=False) if k in LIST_COLUMNS else v for k, v in record.items()} for record in records
        )
