"""Few lanes carry many endpoints: how they are packed, who says how many there are, and what comes of it."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from assay.aws.quotas import ServiceQuotas
from assay.contracts.config import SuiteConfig, load_config
from assay.contracts.errors import RejectedError
from assay.contracts.lanes import LaneLimit, Quotas
from assay.pipeline.estimate import plan_lanes
from assay.pipeline.lanes import Branch, Lane, lane_limits, pack
from assay.pipeline.plan import dependencies


def limit(endpoints: int | None, instance_type: str | None = None) -> LaneLimit:
    return LaneLimit(instance_type=instance_type, endpoints=endpoints, source="config", reason="")


def branches(*seconds: float) -> list[Branch]:
    return [Branch(f"e{index}", item) for index, item in enumerate(seconds)]


def makespan(lanes: Iterable[Lane], items: Sequence[Branch]) -> float:
    seconds = {item.name: item.seconds for item in items}
    return max(sum(seconds[name] for name in lane.endpoints) for lane in lanes)


def lower_bound(items: Sequence[Branch], count: int) -> float:
    """No packing ends earlier: the longest, the mean lane, and what must share a lane among the longest ones."""
    longest = sorted((item.seconds for item in items), reverse=True)
    shared = [
        sum(longest[full * count - full : full * count + 1]) for full in range(1, (len(longest) - 1) // count + 1)
    ]
    return max(longest[0], sum(longest) / count, *shared, 0.0)


def test_a_thousand_random_instances_end_within_four_thirds_of_the_lower_bound() -> None:
    chance = random.Random(20261124)
    worst = 0.0
    for _ in range(1_000):
        count = chance.randint(1, 8)
        alike = chance.random() < 0.5
        items = branches(
            *(
                chance.uniform(60, 7200) if alike else 600 + chance.expovariate(1 / 900)
                for _ in range(chance.randint(1, 50))
            )
        )
        lanes = pack(items, [limit(count)])
        assert len(lanes) <= count
        assert sorted(name for lane in lanes for name in lane.endpoints) == sorted(item.name for item in items)
        worst = max(worst, makespan(lanes, items) / lower_bound(items, count))
    assert worst <= 4 / 3


def test_ten_models_of_different_length_on_two_lanes_end_within_four_thirds_of_the_mean_lane() -> None:
    chance = random.Random(7)
    for _ in range(1_000):
        items = branches(*(chance.uniform(600, 7200) for _ in range(10)))
        simple = max(*(item.seconds for item in items), sum(item.seconds for item in items) / 2)
        assert makespan(pack(items, [limit(2)]), items) <= 4 / 3 * simple


def test_grahams_worst_case_is_as_bad_as_he_says_and_no_worse() -> None:
    items = branches(3, 3, 2, 2, 2)  # 2K + 1 branches on K = 2 lanes: best is 6
    assert makespan(pack(items, [limit(2)]), items) == pytest.approx(6 * (4 / 3 - 1 / (3 * 2)))


def test_the_longest_goes_first_and_one_lane_keeps_them_in_that_order() -> None:
    assert pack(branches(1, 3, 2), [limit(1)]) == (Lane(None, ("e1", "e2", "e0")),)


def test_a_branch_that_waits_for_its_training_does_not_hold_a_lane_that_another_could_use() -> None:
    items = [Branch("tuned", 100, ready=500), Branch("short", 10), Branch("middle", 50)]
    assert pack(items, [limit(1)]) == (Lane(None, ("middle", "short", "tuned")),)


def test_an_endpoint_that_is_kept_comes_last_in_its_lane() -> None:
    items = [
        Branch("kept", 100, kept=True),
        Branch("short", 10),
        Branch("middle", 50),
        Branch("kept-too", 9, kept=True),
    ]
    assert pack(items, [limit(2)]) == (Lane(None, ("middle", "kept-too")), Lane(None, ("short", "kept")))


def test_instance_types_with_quotas_of_their_own_have_lanes_of_their_own() -> None:
    items = [
        Branch("a", 5, pool="ml.g5.xlarge"),
        Branch("b", 4, pool="ml.g5.xlarge"),
        Branch("c", 3, pool="ml.m5.xlarge"),
    ]
    lanes = pack(items, [limit(1, "ml.g5.xlarge"), limit(4, "ml.m5.xlarge")])
    assert lanes == (Lane("ml.g5.xlarge", ("a", "b")), Lane("ml.m5.xlarge", ("c",)))


def test_where_no_limit_is_known_each_endpoint_has_a_lane() -> None:
    items = [Branch("a", 5, pool="ml.g5.xlarge"), Branch("b", 4, pool="ml.g5.xlarge")]
    assert [lane.endpoints for lane in pack(items, [limit(None, "ml.g5.xlarge")])] == [("a",), ("b",)]
    assert [lane.endpoints for lane in pack(items, [])] == [("a",), ("b",)]


# ---- who says how many


def config(*models: dict[str, Any], **limits: Any) -> SuiteConfig:
    base = {"model_id": "m", "deployment_config": {"instance_type": "ml.g5.xlarge"}}
    return SuiteConfig.model_validate(
        {
            "pipeline": {"name": "suite"},
            "dataset": {"input_data_location": "x.jsonl"},
            "models": [model if "provider" in model else {**base, **model} for model in models],
            "algorithms": ["FactualKnowledge"],
            "limits": limits,
        }
    )


class Known:
    """An account whose quotas are as given; it counts how often it is asked."""

    def __init__(self, fault: str = "", **instances: int) -> None:
        self.quotas = Quotas({name.replace("_", "."): count for name, count in instances.items()}, fault)
        self.asked: list[list[str]] = []

    def endpoint_instances(self, instance_types: Iterable[str]) -> Quotas:
        self.asked.append(list(instance_types))
        return self.quotas


def test_what_the_config_says_is_taken_and_nobody_is_asked() -> None:
    account = Known(ml_g5_xlarge=7)
    [found] = lane_limits(config({"name": "a"}, {"name": "b"}, endpoints=2), account)
    assert (found.instance_type, found.endpoints, found.source) == (None, 2, "config")
    assert account.asked == []


def test_a_quota_of_instances_is_shared_by_endpoints_of_several_instances() -> None:
    large = {"instance_type": "ml.g5.xlarge", "num_instances": 2}
    [found] = lane_limits(config({"name": "a"}, {"name": "b", "deployment_config": large}), Known(ml_g5_xlarge=5))
    assert (found.instance_type, found.endpoints, found.source) == ("ml.g5.xlarge", 2, "quota")
    assert "5 x ml.g5.xlarge" in found.reason


def test_a_quota_that_allows_no_endpoint_is_told_and_leaves_one_lane() -> None:
    [found] = lane_limits(config({"name": "a"}), Known(ml_g5_xlarge=0))
    assert found.endpoints == 1
    assert "it will fail" in found.reason


def test_a_quota_that_cannot_be_read_limits_nothing_and_says_why() -> None:
    [found] = lane_limits(config({"name": "a"}), Known(fault="Service Quotas answered AccessDeniedException"))
    assert (found.endpoints, found.source) == (None, "unknown")
    assert "AccessDeniedException" in found.reason


def test_endpoints_that_exist_already_and_given_responses_take_no_lane() -> None:
    live = {"name": "live", "provider": "endpoint", "endpoint_name": "in-production"}
    given = {"name": "given", "provider": "responses", "response_key": "answer"}
    account = Known(ml_g5_xlarge=1)
    assert lane_limits(config(live, given), account) == ()
    assert account.asked == []
    suite = config(live, {"name": "a"}, given)
    assert plan_lanes(suite, 10, lane_limits(suite, account)) == (Lane("ml.g5.xlarge", ("a",)),)


def test_more_endpoints_kept_than_allowed_at_once_are_refused_with_the_line() -> None:
    text = b"""\
pipeline: {name: demo}
dataset: {input_data_location: x.jsonl}
models:
  - {name: a, model_id: m, cleanup_endpoint: false, deployment_config: {instance_type: ml.m5.xlarge}}
  - {name: b, model_id: m, cleanup_endpoint: false, deployment_config: {instance_type: ml.m5.xlarge}}
algorithms: [FactualKnowledge]
limits:
  endpoints: 1
"""
    with pytest.raises(RejectedError, match=r"line 8.*2 endpoints are kept"):
        load_config(text, "x")
    load_config(text.replace(b"endpoints: 1", b"endpoints: 2"), "x")


def service_quotas() -> Any:
    return boto3.client("service-quotas", aws_access_key_id="x", aws_secret_access_key="x", region_name="eu-west-1")


def test_service_quotas_is_paged_through_until_each_type_was_met() -> None:
    client = service_quotas()
    with Stubber(client) as stub:
        other = {"QuotaName": "ml.g5.xlarge for training job usage", "Value": 9.0}
        pages: list[dict[str, Any]] = [
            {"Quotas": [other], "NextToken": "1"},
            {"Quotas": [{"QuotaName": "ml.g5.xlarge for endpoint usage", "Value": 2.0}], "NextToken": "2"},
        ]
        stub.add_response("list_service_quotas", pages[0], {"ServiceCode": "sagemaker"})
        stub.add_response("list_service_quotas", pages[1], {"ServiceCode": "sagemaker", "NextToken": "1"})
        assert ServiceQuotas(client).endpoint_instances(["ml.g5.xlarge"]) == Quotas({"ml.g5.xlarge": 2})
        stub.assert_no_pending_responses()


def test_a_type_without_an_applied_quota_has_the_default_of_aws() -> None:
    client = service_quotas()
    with Stubber(client) as stub:
        applied = {"QuotaName": "ml.g5.xlarge for endpoint usage", "Value": 2.0}
        stub.add_response("list_service_quotas", {"Quotas": [applied]}, {"ServiceCode": "sagemaker"})
        defaults = [{**applied, "Value": 0.0}, {"QuotaName": "ml.p4d.24xlarge for endpoint usage", "Value": 0.0}]
        stub.add_response("list_aws_default_service_quotas", {"Quotas": defaults}, {"ServiceCode": "sagemaker"})
        found = ServiceQuotas(client).endpoint_instances(["ml.g5.xlarge", "ml.p4d.24xlarge"])
        stub.assert_no_pending_responses()
    assert found == Quotas({"ml.g5.xlarge": 2, "ml.p4d.24xlarge": 0})


def test_what_was_applied_is_known_where_the_defaults_cannot_be_read() -> None:
    client = service_quotas()
    with Stubber(client) as stub:
        applied = {"QuotaName": "ml.g5.xlarge for endpoint usage", "Value": 2.0}
        stub.add_response("list_service_quotas", {"Quotas": [applied]}, {"ServiceCode": "sagemaker"})
        stub.add_client_error("list_aws_default_service_quotas", "AccessDeniedException", http_status_code=400)
        found = ServiceQuotas(client).endpoint_instances(["ml.g5.xlarge", "ml.p4d.24xlarge"])
    assert found == Quotas({"ml.g5.xlarge": 2}, "Service Quotas answered AccessDeniedException")


def test_service_quotas_that_refuse_are_no_reason_to_fail() -> None:
    client = service_quotas()
    with Stubber(client) as stub:
        stub.add_client_error("list_service_quotas", "AccessDeniedException", http_status_code=400)
        found = ServiceQuotas(client).endpoint_instances(["ml.g5.xlarge"])
    assert found == Quotas({}, "Service Quotas answered AccessDeniedException")


# ---- what comes of it


def test_a_deployment_waits_for_the_clean_up_before_it_in_its_lane() -> None:
    waits = dependencies(config({"name": "a"}, {"name": "b"}, {"name": "c"}), [("c", "a"), ("b",)])
    assert waits["deploy-a"] == ("preprocess", "cleanup-c")
    assert waits["deploy-b"] == waits["deploy-c"] == ("preprocess",)
    order = list(waits)
    assert all(order.index(earlier) < order.index(step) for step, after in waits.items() for earlier in after)


def test_longer_catalogs_and_slower_calls_make_longer_branches() -> None:
    suite = config({"name": "fast"}, {"name": "slow"}, endpoints=1)
    from assay.pipeline.prediction import Measured

    measured = {"slow": Measured(9.0, "id", "here"), "fast": Measured(0.1, "id", "here")}
    [lane] = plan_lanes(suite, 100, [limit(1)], measured=measured)
    assert lane.endpoints == ("slow", "fast")


def test_the_manifest_says_why_there_are_so_many_lanes() -> None:
    from assay.contracts.results import Manifest
    from tests.unit.start_world import CATALOG, CONFIG, World

    created = CONFIG.replace(
        b"{name: m, provider: endpoint, endpoint_name: e}",
        b"{name: m, model_id: i, deployment_config: {instance_type: ml.g5.xlarge}}, "
        b"{name: n, model_id: i, deployment_config: {instance_type: ml.g5.xlarge}}",
    )
    world = World()
    world.drop("catalogs/sums.jsonl", CATALOG)
    [result] = world.drop("configs/sums.yaml", created)
    manifest = Manifest.model_validate_json(world.bucket.read(f"evaluations/sums/{result.evaluation_id}/manifest.json"))
    assert [(item.instance_type, item.endpoints, item.source) for item in manifest.lanes] == [
        ("ml.g5.xlarge", 1, "quota")
    ]
    assert world.pipelines.lanes == [[("m", "n")]]
    assert list(result.limits) == list(manifest.lanes)


def test_endpoints_that_await_the_decision_cost_until_the_pipelines_end_and_are_said_to() -> None:
    from assay.contracts.prices import bundled_prices
    from assay.pipeline.estimate import estimate
    from assay.pipeline.prediction import Workload

    suite = config({"name": "a"}, {"name": "b"}, keep_winner_hours=12)
    work = Workload(10, {"a": 100, "b": 100})
    prediction = estimate(suite, work, bundled_prices(), step_instance_type="ml.m5.large")
    begins = {step.name: step.begins for step in prediction.steps}
    assert [item.seconds for item in prediction.endpoints] == [
        prediction.seconds - begins["deploy-a"],
        prediction.seconds - begins["deploy-b"],
    ]
    assert not any(item.kept for item in prediction.endpoints)
    assert any("12 h that the winner's stays" in sentence for sentence in prediction.assumptions)
