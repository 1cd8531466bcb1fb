from __future__ import annotations

import io
import math

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.contracts.results import Failure, Latency, Response, ScoreRow, Tokens
from assay.scoring import score_files
from assay.scoring.score_files import ScoreTable, read_scores, table_to_parquet
from tests.unit.memory_bucket import Bucket
from tests.unit.scores_support import outcome_of, rows_of, table_of, write_rows

PREFIX = "evaluations/demo/1/models/m/scores/"


def row(record_id: str, value: float | None, score: str = "f1_score") -> ScoreRow:
    error = "NoAnswer: Throttled: too many" if value is None else None
    return ScoreRow(
        record_id=record_id, algorithm="QAAccuracy", score=score, value=value, direction="higher", error=error
    )


@given(
    st.lists(
        st.builds(
            ScoreRow,
            record_id=st.text(),
            algorithm=st.text(),
            score=st.text(),
            value=st.none() | st.floats(allow_nan=False),
            direction=st.sampled_from(["higher", "lower"]),
            error=st.none() | st.text(),
        ),
        max_size=5,
    )
)
def test_rows_come_back_from_parquet_as_they_were(rows: list[ScoreRow]) -> None:
    assert rows_of(table_to_parquet(table_of(rows))) == rows


def test_a_file_has_the_columns_that_athena_reads() -> None:
    schema = pq.read_schema(io.BytesIO(table_to_parquet(table_of([row("1", 0.5)]))))
    assert schema.names == ["record_id", "algorithm", "score", "value", "direction", "error"]


def test_scores_come_back_as_one_array_for_each_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(score_files, "PART_ROWS", 3)
    bucket = Bucket()
    rows = [item for n in range(5) for item in (row(str(n), n / 4), row(str(n), None if n % 2 else 1.0, "exact"))]
    assert write_rows(bucket, PREFIX, iter(rows)) == 10
    assert [key.removeprefix(PREFIX) for key in bucket.keys(PREFIX)] == [f"part-0000{n}.parquet" for n in range(4)]
    table = read_scores(bucket, PREFIX)
    f1 = table.column("QAAccuracy", "f1_score")
    exact = table.column("QAAccuracy", "exact")
    assert f1 is not None
    assert exact is not None
    assert f1.record_ids.tolist() == ["0", "1", "2", "3", "4"]
    assert f1.values.tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert [None if math.isnan(value) else value for value in exact.values] == [1, None, 1, None, 1]
    assert (f1.failed, exact.failed) == (0, 2)
    assert table.column("QAAccuracy", "nothing") is None


def test_scoring_again_replaces_the_scores() -> None:
    bucket = Bucket()
    write_rows(bucket, PREFIX, [row("1", 0.0), row("2", 0.0)])
    write_rows(bucket, PREFIX, [row("2", 1.0), row("1", 1.0)])
    column = read_scores(bucket, PREFIX).column("QAAccuracy", "f1_score")
    assert column is not None
    assert column.values.tolist() == [1.0, 1.0]


def test_a_record_with_two_values_is_refused() -> None:
    bucket = Bucket()
    write_rows(bucket, PREFIX, [row("1", 0.0), row("1", 1.0)])
    with pytest.raises(ValueError, match=r"two values for QAAccuracy\.f1_score"):
        read_scores(bucket, PREFIX)


def test_no_parts_are_an_empty_table() -> None:
    bucket = Bucket()
    bucket.write(f"{PREFIX}_SUCCESS", b"")
    assert read_scores(bucket, PREFIX) == ScoreTable({})


def test_only_errors_are_a_column_of_nan() -> None:
    bucket = Bucket()
    write_rows(bucket, PREFIX, [row("1", None), row("2", None)])
    column = read_scores(bucket, PREFIX).column("QAAccuracy", "f1_score")
    assert column is not None
    assert column.values.dtype == np.float64
    assert column.failed == 2


def answered(record_id: str, latency: float) -> Response:
    return Response(record_id=record_id, text="x", latency_ms=latency, attempts=1, prompt="p")


def failed(record_id: str, kind: str) -> Response:
    failure = Failure(kind=kind, reason="because")
    return Response(record_id=record_id, text=None, latency_ms=None, attempts=1, prompt="p", failure=failure)


def test_an_outcome_counts_every_record_of_the_catalog() -> None:
    responses = [answered(str(n), float(n)) for n in range(1, 102)]
    responses += [failed("a", "Throttled"), failed("b", "Throttled"), failed("c", "ModelError")]
    outcome = outcome_of("m", 110, responses, endpoint_name="e", model_version="1.0.0", wall_seconds=3.5)
    assert (outcome.status, outcome.records, outcome.answered, outcome.failed) == ("evaluated", 110, 101, 9)
    assert outcome.errors == {"NotAsked": 6, "Throttled": 2, "ModelError": 1}
    assert outcome.latency == Latency(n=101, mean=51.0, p50=51.0, p90=91.0, p95=96.0, p99=100.0)
    assert (outcome.endpoint_name, outcome.model_version, outcome.wall_seconds) == ("e", "1.0.0", 3.5)


def test_without_answers_there_is_no_latency() -> None:
    outcome = outcome_of("m", 2, [failed("1", "Throttled")])
    assert outcome.latency is None
    assert outcome.errors == {"Throttled": 1, "NotAsked": 1}


def test_tokens_are_those_of_the_answers_that_were_counted() -> None:
    counted = answered("1", 500.0).model_copy(update={"input_tokens": 10, "output_tokens": 20, "cost_usd": 0.25})
    priceless = answered("2", 1500.0).model_copy(update={"input_tokens": 1, "output_tokens": 2})
    half = answered("3", 9000.0).model_copy(update={"output_tokens": 7})
    lost = failed("4", "ModelError").model_copy(update={"input_tokens": 5, "output_tokens": 5})
    outcome = outcome_of("m", 4, [counted, priceless, half, lost], deploy_seconds=300.0)
    assert outcome.tokens == Tokens(n=2, input=11, output=22, seconds=2.0, usd=None)
    assert outcome.deploy_seconds == 300
    assert outcome_of("m", 1, [counted]).tokens == Tokens(n=1, input=10, output=20, seconds=0.5, usd=0.25)
    assert outcome_of("m", 1, [half]).tokens is None
