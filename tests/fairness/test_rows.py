"""Rows from files: what is a rate, what is missing, and complaints that name file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from guard.errors import ConfigError
from guard.fairness.rows import Columns, read

CSV = """sex,refusal,score,label,guess,day
f,1,0.5,1,1,2026-01-05
m,no,nan,0,1,2026-01-12
f,,2.5,1,0,2026-01-12
,true,1,,1,2026-01-19
"""


def write(folder: Path, text: str, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_a_table(tmp_path: Path) -> None:
    columns = Columns("label", "guess", "day")
    cells, source = read(write(tmp_path, CSV), ("sex",), columns)
    tables = {table.measure.name: table for table in cells.tables(("sex",))}
    assert {name: table.measure.kind for name, table in tables.items()} == {
        "refusal": "rate", "score": "mean", "true_positive_rate": "rate", "false_positive_rate": "rate",
    }  # fmt: skip
    assert tables["refusal"].groups == (("f",), ("m",))
    assert tables["refusal"].n.tolist() == [1, 1]
    assert tables["score"].means.tolist()[0] == 1.5
    assert tables["score"].n.tolist() == [2, 0]
    assert tables["true_positive_rate"].means.tolist()[0] == 0.5
    assert tables["false_positive_rate"].means.tolist()[1] == 1.0
    assert cells.undeclared(("sex",)) == 1
    assert cells.periods == ["2026-W02", "2026-W03", "2026-W04"]
    assert source.digest.startswith("sha256:")


def test_json_lines_say_the_same_as_csv(tmp_path: Path) -> None:
    text = '{"sex": "f", "refusal": true}\n\n{"sex": "m", "refusal": 0}\n{"refusal": 1}\n{"sex": "m"}\n'
    cells, _ = read(write(tmp_path, text, "rows.jsonl"), ("sex",), Columns())
    [table] = cells.tables(("sex",))
    assert (table.n.tolist(), table.total.tolist(), cells.undeclared(("sex",))) == ([1, 1], [1, 0], 1)


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ("sex,score\nf,high\n", Columns(), "rows.csv:2: score is neither a number"),
        ("sex,score\nf,1\nm,inf\n", Columns(), "rows.csv:3: score is infinite"),
        ("sex,score\nf\n", Columns(), "rows.csv:2: 1 cells where the header names 2"),
        ("sex,sex\nf,1\n", Columns(), "rows.csv:1: the first line"),
        ("", Columns(), "rows.csv:1: the first line"),
        ("gender,score\nf,1\n", Columns(), "no column 'sex'; there are gender, score"),
        ("sex\nf\n", Columns(), "nothing is left to measure"),
        ("sex,a,b\nf,1,2\n", Columns("a", "b"), "rows.csv:2: b must be 0 or 1"),
        ("sex,a,b\nf,1,2\n", Columns(label="a"), "both --label and --predicted"),
        ("sex,a,b\nf,1,soon\n", Columns(time="b"), "rows.csv:2: b must start with a date"),
        ("sex,block\nf,0.5\n", Columns(), "block is a rate"),
        ('sex,a\nf,"1\n', Columns(), "not CSV"),
    ],
)
def test_complaints_name_file_and_line(tmp_path: Path, text: str, columns: Columns, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(write(tmp_path, text), ("sex",), columns)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["{", "[1]", "7"])
def test_lines_that_are_no_objects(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"rows.jsonl:2: not a JSON object"):
        read(write(tmp_path, '{"sex": "f", "a": 1}\n' + text, "rows.jsonl"), ("sex",), Columns())


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read(tmp_path / "none.csv", ("sex",), Columns())
    (tmp_path / "rows.csv").write_bytes(b"sex,a\n\xff,1\n")
    with pytest.raises(ConfigError, match="UTF-8"):
        read(tmp_path / "rows.csv", ("sex",), Columns())
