"""Tables in every format and compression, written and read without the code under test."""

import csv
import gzip
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq


def write_table(path, rows):
    """Write rows, dictionaries of equal keys; plain lines hold the texts alone."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    kind = path.name.split(".")[1]
    if kind == "jsonl":
        content = "".join(json.dumps(row) + "\n" for row in rows)
    elif kind == "txt":
        content = "".join(row["text"] + "\n" for row in rows)
    else:
        file = io.StringIO(newline="")
        writer = csv.writer(file, delimiter="\t" if kind == "tsv" else ",")
        writer.writerows([list(rows[0]), *(row.values() for row in rows)])
        content = file.getvalue()
    path.write_bytes(compress(content.encode(), path.suffix))


def read_table(path):
    """Return the rows of a scored table as dictionaries; those of plain lines by position."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    text = decompress(path.read_bytes(), path.suffix).decode("utf-8-sig")
    kind = path.name.split(".")[1]
    if kind == "jsonl":
        return [json.loads(line) for line in text.split("\n")[:-1]]
    if kind == "txt":
        return [dict(enumerate(line.split("\t"))) for line in text.split("\n")[:-1]]
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if kind == "tsv" else ",", strict=True))


def compress(content, suffix):
    if suffix == ".gz":
        return gzip.compress(content)
    return pa.compress(content, codec="zstd", asbytes=True) if suffix == ".zst" else content


def decompress(content, suffix):
    if suffix == ".gz":
        return gzip.decompress(content)
    return pa.CompressedInputStream(pa.BufferReader(content), "zstd").read() if suffix == ".zst" else content
