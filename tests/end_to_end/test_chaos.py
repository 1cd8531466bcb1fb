"""A slice of `make chaos`: one seed of each kind of fault, and each way to serve a model."""

from __future__ import annotations

from tests.end_to_end.chaos import DEPLOYMENTS, run_of, run_seeds

SLICE = (2, 5, 6, 12, 31)


def test_whatever_befalls_an_evaluation_it_is_concluded_once_and_nothing_is_left() -> None:
    report = run_seeds(SLICE)
    print("\n".join([f"{len(report.lines)} runs, seeds {SLICE}", *report.lines]))  # noqa: T201
    assert report.faults == [], "\n".join(report.lines)
    assert sum(report.outcomes.values()) == len(SLICE)


def test_seeds_stand_for_the_same_faults_each_time_and_the_slice_has_all_there_is() -> None:
    assert [run_of(seed) for seed in range(200)] == [run_of(seed) for seed in range(200)]
    kinds = {run_of(seed).kind for seed in range(200)}
    assert kinds == {"step", "api", "stop", "event", "endpoint"}
    assert {run_of(seed).kind for seed in SLICE} == kinds
    assert {run_of(seed).served for seed in SLICE} == set(DEPLOYMENTS)
    assert any(run_of(seed).judged for seed in SLICE)
