"""What the template promises: nothing lost, nothing forgotten, nothing allowed without a reason."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from local.events.pattern import matches
from tests.unit.template import load_template

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "template.yaml").read_text()
TEMPLATE = load_template()
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
STATEFUL = {"AWS::S3::Bucket", "AWS::SQS::Queue"}


def of_type(*types: str) -> dict[str, dict[str, Any]]:
    return {name: item.get("Properties", {}) for name, item in RESOURCES.items() if item["Type"] in types}


FUNCTIONS = of_type("AWS::Serverless::Function")
MACHINES = of_type("AWS::Serverless::StateMachine")
RULES = {
    f"{name}{event}": item["Properties"]
    for name, properties in {**FUNCTIONS, **MACHINES}.items()
    for event, item in properties.get("Events", {}).items()
}


def statements() -> list[tuple[str, dict[str, Any]]]:
    """Every statement of every policy, with the resource it belongs to."""

    def walk(value: Any) -> list[dict[str, Any]]:
        if isinstance(value, list):
            return [found for item in value for found in walk(item)]
        if not isinstance(value, dict):
            return []
        own = [value] if value.get("Effect") in ("Allow", "Deny") else []
        return own + [found for item in value.values() for found in walk(item)]

    return [(name, found) for name, item in RESOURCES.items() for found in walk(item)]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def attribute(reference: Any) -> str:
    """The logical id that a Ref or GetAtt names."""
    [(kind, value)] = reference.items()
    return str(value if kind == "Ref" else value[0])


# ---- one vocabulary


def test_each_function_has_its_folder_and_each_folder_its_function() -> None:
    folders = {path.parent.name for path in (PROJECT / "functions").glob("*/app.py")}
    named = {re.sub(r"(?<!^)(?=[A-Z])", "_", name.removesuffix("Function")).lower() for name in FUNCTIONS}
    assert named == folders
    for name, properties in FUNCTIONS.items():
        folder = re.sub(r"(?<!^)(?=[A-Z])", "_", name.removesuffix("Function")).lower()
        assert properties["CodeUri"] == f"functions/{folder}/"


def test_one_parameter_says_which_python_runs() -> None:
    version = {"Fn::Sub": "python${PythonVersion}"}
    assert TEMPLATE["Globals"]["Function"]["Runtime"] == version
    assert all("Runtime" not in properties for properties in FUNCTIONS.values())
    for layer in of_type("AWS::Serverless::LayerVersion").values():
        assert layer["CompatibleRuntimes"] == [version]
    default = TEMPLATE["Parameters"]["PythonVersion"]["Default"]
    # Wherever else a version is written, it is read from there, or is the range that is supported.
    for file in ("Makefile", "layers/build.mk"):
        assert "PythonVersion:/" in (PROJECT / file).read_text()
    [image_default] = re.findall(r"^ARG PYTHON_VERSION=(.*)$", (PROJECT / "image/Dockerfile").read_text(), re.M)
    assert image_default == default


def test_only_the_function_that_builds_pipelines_carries_the_sdk() -> None:
    layers = {name: [attribute(layer) for layer in properties["Layers"]] for name, properties in FUNCTIONS.items()}
    assert layers == {
        "StartEvaluationFunction": ["AssayLayer", "SagemakerSdkLayer"],
        "CompareModelsFunction": ["AssayLayer", "StatisticsLayer"],
        "CheckGateFunction": ["AssayLayer", "StatisticsLayer"],
        "RegisterModelFunction": ["AssayLayer"],
        "DecideApprovalFunction": ["AssayLayer"],
        "RenderReportFunction": ["AssayLayer", "StatisticsLayer"],
        "ReleaseEndpointsFunction": ["AssayLayer"],
        "ReconcileEvaluationsFunction": ["AssayLayer"],
    }


def test_each_layer_builds_itself_by_a_target_of_its_name() -> None:
    for name, resource in RESOURCES.items():
        if resource["Type"] == "AWS::Serverless::LayerVersion":
            folder = PROJECT / resource["Properties"]["ContentUri"]
            assert resource["Metadata"]["BuildMethod"] == "makefile"
            assert f"build-{name}:" in (folder / "Makefile").read_text()
            assert not (folder / "python").exists()


def pins(file: str) -> dict[str, str]:
    lines = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)$", (PROJECT / file).read_text(), re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in lines}


def test_functions_and_steps_have_the_same_versions() -> None:
    image = pins("image/requirements.txt")
    differing = {
        name
        for layer in ("assay", "sagemaker_sdk", "statistics")
        for name, version in pins(f"layers/{layer}/requirements.txt").items()
        if image.get(name, version) != version
    }
    # Lambda's C library cannot load the image's; see layers/build.mk.
    assert differing <= {"numpy", "scipy", "pyarrow"}
    assert pins("layers/sagemaker_sdk/requirements.txt")["sagemaker"] == image["sagemaker"]


def test_no_function_brings_packages_of_its_own() -> None:
    assert list((PROJECT / "functions").glob("*/requirements.txt")) == []


def test_settings_that_the_product_reads_are_settings_that_a_function_gets() -> None:
    source = (PROJECT / "layers/assay/assay/aws/runtime.py").read_text()
    read = set(re.findall(r'setting\("([A-Z_]+)"\)', source))
    given = {
        name for properties in FUNCTIONS.values() for name in properties.get("Environment", {}).get("Variables", {})
    }
    assert read <= given
    for function, wanted in {"RegisterModelFunction": "OWNER", "ReleaseEndpointsFunction": "OWNER"}.items():
        assert wanted in FUNCTIONS[function]["Environment"]["Variables"]


def test_the_pipelines_that_are_started_are_those_that_are_listened_to() -> None:
    started = FUNCTIONS["StartEvaluationFunction"]["Environment"]["Variables"]["PIPELINE_PREFIX"]
    [listened] = RULES["ConcludeEvaluationStateMachinePipelineEnded"]["Pattern"]["detail"]["pipelineArn"]
    assert started == {"Ref": "PipelinePrefix"}
    assert listened["prefix"]["Fn::Sub"].endswith(":pipeline/${PipelinePrefix}-")
    # A prefix without hyphens is no beginning of another stack's prefix and hyphen.
    assert "-" not in "".join(
        re.findall(r"\[(.*?)\]", TEMPLATE["Parameters"]["PipelinePrefix"]["AllowedPattern"])
    ).replace("a-z", "").replace("0-9", "")


# ---- rules


def sample(name: str, **detail: Any) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((PROJECT / "events" / name).read_text())
    event["detail"] |= detail
    return event


def pattern(rule: str) -> dict[str, Any]:
    """A rule's pattern for the account, region and bucket of the samples."""
    bucket = sample("s3_object_created.json")["detail"]["bucket"]["name"]

    def resolve(value: Any) -> Any:
        if isinstance(value, list):
            return [resolve(item) for item in value]
        if value == {"Ref": "Bucket"}:
            return bucket
        if isinstance(value, dict) and "Fn::Sub" in value:
            known = {"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "123456789012"}
            known["PipelinePrefix"] = TEMPLATE["Parameters"]["PipelinePrefix"]["Default"]
            return re.sub(r"\$\{([\w:]+)\}", lambda found: known[found[1]], value["Fn::Sub"])
        return {key: resolve(item) for key, item in value.items()} if isinstance(value, dict) else value

    resolved: dict[str, Any] = resolve(RULES[rule]["Pattern"])
    return resolved


@pytest.mark.parametrize("key", ["configs/a.yaml", "configs/team/a.yaml", "catalogs/faq.jsonl"])
def test_a_dropped_config_or_catalog_starts_an_evaluation(key: str) -> None:
    event = sample("s3_object_created.json", object={"key": key, "version-id": "v"})
    assert matches(pattern("StartEvaluationFunctionObjectDropped"), event)


@pytest.mark.parametrize("key", ["configs/a.yaml", "catalogs/faq.jsonl"])
def test_a_deleted_config_or_catalog_is_heard_of(key: str) -> None:
    event = sample("s3_object_deleted.json", object={"key": key, "version-id": "v"})
    assert matches(pattern("StartEvaluationFunctionObjectDropped"), event)


def test_a_request_on_the_stack_s_own_bus_is_heard_and_what_assay_tells_there_is_not() -> None:
    rule = "StartEvaluationFunctionEvaluationRequested"
    assert RULES[rule]["EventBusName"] == {"Ref": "AssayEventBus"}
    heard = {path.name for path in (PROJECT / "events").glob("*.v1.json") if matches(pattern(rule), sample(path.name))}
    assert heard == {"evaluation_requested.v1.json"}


@pytest.mark.parametrize(
    "key",
    [
        "evaluations/s/1/config.yaml",
        "requests/r.json",
        "rejected/configs/a.yaml.json",
        "pipelines/x",
        "a/configs/b.yaml",
        "configs",
    ],
)
def test_what_assay_writes_itself_starts_nothing(key: str) -> None:
    event = sample("s3_object_created.json", object={"key": key})
    assert not matches(pattern("StartEvaluationFunctionObjectDropped"), event)


def test_another_bucket_starts_nothing() -> None:
    event = sample("s3_object_created.json", bucket={"name": "another"})
    assert not matches(pattern("StartEvaluationFunctionObjectDropped"), event)


@pytest.mark.parametrize(
    ("status", "concluded"),
    [("Executing", False), ("Stopping", False), ("Succeeded", True), ("Failed", True), ("Stopped", True)],
)
def test_only_an_ended_pipeline_is_concluded(status: str, concluded: bool) -> None:
    event = sample("sagemaker_pipeline_execution_status_change.json", currentPipelineExecutionStatus=status)
    assert matches(pattern("ConcludeEvaluationStateMachinePipelineEnded"), event) is concluded


@pytest.mark.parametrize("name", ["assaydev-general-knowledge", "other", "my-assay-x"])
def test_a_pipeline_of_somebody_else_is_not_concluded(name: str) -> None:
    arn = f"arn:aws:sagemaker:eu-west-1:123456789012:pipeline/{name}"
    event = sample("sagemaker_pipeline_execution_status_change.json", pipelineArn=arn)
    assert not matches(pattern("ConcludeEvaluationStateMachinePipelineEnded"), event)


@pytest.mark.parametrize("status", ["PendingManualApproval", "Approved", "Rejected"])
def test_every_approval_status_of_a_package_is_heard(status: str) -> None:
    event = sample("sagemaker_model_package_state_change.json", ModelApprovalStatus=status)
    assert matches(pattern("AnnounceApprovalStateMachinePackageChanged"), event)


def test_an_approval_may_be_written_where_the_page_says_and_nowhere_else() -> None:
    keys = {
        tuple(found["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"])
        for name, found in statements()
        if name == "DecideApprovalFunction" and "dynamodb" in str(found["Action"])
    }
    assert keys == {("LINK#*",), ("LOCK#approval/*",)}


# ---- nothing is lost


@pytest.mark.parametrize("rule", RULES)
def test_behind_every_rule_is_a_queue_that_takes_what_cannot_be_delivered_from_it(rule: str) -> None:
    assert RULES[rule]["RetryPolicy"].keys() == {"MaximumEventAgeInSeconds", "MaximumRetryAttempts"}
    queue = attribute(RULES[rule]["DeadLetterConfig"]["Arn"])
    policies = [
        statement
        for policy in of_type("AWS::SQS::QueuePolicy").values()
        if policy["Queues"] == [{"Ref": queue}]
        for statement in policy["PolicyDocument"]["Statement"]
    ]
    assert any(
        statement["Principal"] == {"Service": "events.amazonaws.com"}
        and rule in map(attribute, listed(statement["Condition"]["ArnEquals"]["aws:SourceArn"]))
        for statement in policies
    )


def test_what_a_function_fails_on_when_nobody_waits_for_it_is_kept() -> None:
    for properties in FUNCTIONS.values():
        if properties.get("Events"):
            on_failure = properties["EventInvokeConfig"]["DestinationConfig"]["OnFailure"]
            assert on_failure["Type"] == "SQS"
            queue = attribute(on_failure["Destination"])
            allowed = [found for policy in properties["Policies"] for found in policy["Statement"]]
            assert any(
                listed(found["Action"]) == ["sqs:SendMessage"] and attribute(found["Resource"]) == queue
                for found in allowed
            )


def test_a_mail_that_cannot_be_delivered_is_kept() -> None:
    for subscription in of_type("AWS::SNS::Subscription").values():
        assert attribute(subscription["RedrivePolicy"]["deadLetterTargetArn"]) == "NotificationDeadLetters"


def test_every_dead_letter_raises_an_alarm_that_is_mailed() -> None:
    alarms = of_type("AWS::CloudWatch::Alarm")
    watched = {
        attribute(dimension["Value"])
        for alarm in alarms.values()
        for dimension in alarm["Dimensions"]
        if dimension["Name"] == "QueueName"
    }
    assert watched == set(of_type("AWS::SQS::Queue"))
    assert all(alarm["AlarmActions"] == [{"Ref": "NotificationTopic"}] for alarm in alarms.values())


def test_a_failed_or_late_conclusion_raises_an_alarm() -> None:
    metrics = {
        alarm["MetricName"]
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm["Namespace"] == "AWS/States"
    }
    assert metrics == {"ExecutionsFailed", "ExecutionsTimedOut"}


def test_what_holds_data_outlives_the_stack() -> None:
    kept = {name for name, item in RESOURCES.items() if item["Type"] in STATEFUL} | {"EvaluationsTable"}
    for name in kept:
        assert RESOURCES[name]["DeletionPolicy"] == RESOURCES[name]["UpdateReplacePolicy"] == "Retain"


def test_objects_keep_their_versions_and_nobody_outside_sees_them() -> None:
    bucket = RESOURCES["Bucket"]["Properties"]
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    assert bucket["NotificationConfiguration"]["EventBridgeConfiguration"]["EventBridgeEnabled"] is True


# ---- logs


def test_every_function_and_machine_logs_to_a_group_that_expires() -> None:
    groups = of_type("AWS::Logs::LogGroup")
    assert all(group["RetentionInDays"] == {"Ref": "LogRetentionDays"} for group in groups.values())
    used = [attribute(properties["LoggingConfig"]["LogGroup"]) for properties in FUNCTIONS.values()]
    used += [
        attribute(destination["CloudWatchLogsLogGroup"]["LogGroupArn"])
        for machine in MACHINES.values()
        for destination in machine["Logging"]["Destinations"]
    ]
    assert sorted(used) == sorted(groups)


# ---- permissions


def test_no_statement_allows_a_whole_service() -> None:
    for name, statement in statements():
        if statement["Effect"] == "Allow":
            for action in listed(statement["Action"]):
                assert "*" not in action, f"{name}: {action}"


def test_every_star_in_a_resource_carries_its_reason() -> None:
    starred = 0
    for block in re.split(r"\n(?= +(?:- )?Effect: )", TEXT)[1:]:
        found = re.search(r"^ +(?:Resource|Principal):.*(?:\n +- .*)*", block, re.MULTILINE)
        assert found is not None
        if "*" in re.sub(r" #.*", "", found[0]):
            starred += 1
            assert re.search(r"^ +# \w", block[: found.start()], re.MULTILINE), block
    assert starred > 10


def test_a_role_is_lent_to_the_one_service_that_it_is_for() -> None:
    lent = [found for _, found in statements() if "iam:PassRole" in listed(found["Action"])]
    assert len(lent) == 4
    services = {
        "PipelineRole": "sagemaker.amazonaws.com",
        "ScheduleRole": "scheduler.amazonaws.com",
        "BatchRole": "bedrock.amazonaws.com",
    }
    for statement in lent:
        service = services[attribute(statement["Resource"])]
        assert statement["Condition"] == {"StringEquals": {"iam:PassedToService": service}}
        role = RESOURCES[attribute(statement["Resource"])]["Properties"]
        assert role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] == {"Service": service}


def test_the_registry_may_do_each_thing_that_it_does() -> None:
    source = (PROJECT / "layers/assay/assay/aws/registry.py").read_text()
    calls = {*re.findall(r"_client\.([a-z_]+)\(", source), *re.findall(r'get_paginator\("([a-z_]+)"\)', source)}
    wanted = {f"sagemaker:{call.title().replace('_', '')}" for call in calls - {"get_paginator"}}
    policies = FUNCTIONS["RegisterModelFunction"]["Policies"]
    allowed = {action for policy in policies for item in policy["Statement"] for action in listed(item["Action"])}
    assert len(wanted) == 5
    assert wanted <= allowed


def test_the_gate_may_look_at_the_champion_and_decide_nothing_about_it() -> None:
    source = (PROJECT / "layers/assay/assay/aws/champions.py").read_text()
    calls = {*re.findall(r"_client\.([a-z_]+)\(", source), *re.findall(r'get_paginator\("([a-z_]+)"\)', source)}
    wanted = {f"sagemaker:{call.title().replace('_', '')}" for call in calls - {"get_paginator"}}
    policies = FUNCTIONS["CheckGateFunction"]["Policies"]
    allowed = {action for policy in policies for item in policy["Statement"] for action in listed(item["Action"])}
    assert wanted == {action for action in allowed if action.startswith("sagemaker:")}


def test_nothing_of_the_stack_may_approve_but_the_page_that_somebody_turned_on() -> None:
    allowed = [name for name, found in statements() if "sagemaker:UpdateModelPackage" in listed(found["Action"])]
    assert allowed == ["DecideApprovalFunction"]
    assert RESOURCES["DecideApprovalFunction"]["Condition"] == "HasApprovalLinks"
    assert TEMPLATE["Conditions"]["HasApprovalLinks"] == {"Fn::Equals": [{"Ref": "ApprovalLinks"}, "on"]}
    assert TEMPLATE["Parameters"]["ApprovalLinks"]["Default"] == "off"


def test_the_steps_may_read_the_tags_of_a_training_job_as_the_sdk_does_when_it_deploys_a_tuned_model() -> None:
    [steps] = [found for name, found in statements() if name == "PipelineRole" and found.get("Sid") == "RunSteps"]
    assert steps["Resource"]["Fn::Sub"].endswith(":training-job/pipelines-*")
    assert {"sagemaker:DescribeTrainingJob", "sagemaker:ListTags"} <= set(steps["Action"])


def test_the_steps_may_ask_an_endpoint_at_once_and_through_its_queue() -> None:
    [look] = [found for name, found in statements() if name == "PipelineRole" and found.get("Sid") == "LookAtEndpoints"]
    assert {"sagemaker:InvokeEndpoint", "sagemaker:InvokeEndpointAsync"} <= set(look["Action"])


def test_no_function_needs_more_memory_than_a_new_account_allows() -> None:
    assert max(properties.get("MemorySize", 512) for properties in FUNCTIONS.values()) == 3008


def test_an_account_without_spare_concurrency_can_reserve_none() -> None:
    reserved = FUNCTIONS["DecideApprovalFunction"]["ReservedConcurrentExecutions"]
    assert reserved == {"Fn::If": ["HasApprovalConcurrency", {"Ref": "ApprovalConcurrency"}, {"Ref": "AWS::NoValue"}]}
    assert TEMPLATE["Conditions"]["HasApprovalConcurrency"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "ApprovalConcurrency"}, 0]}]
    }


def test_the_bucket_and_scheduler_may_be_asked_what_starting_asks_them() -> None:
    policies = FUNCTIONS["StartEvaluationFunction"]["Policies"]
    allowed = {action for policy in policies for item in policy["Statement"] for action in listed(item["Action"])}
    source = (PROJECT / "layers/assay/assay/aws/schedules.py").read_text()
    calls = {f"scheduler:{call.title().replace('_', '')}" for call in re.findall(r"self\.client\.([a-z_]+)\(", source)}
    assert len(calls) == 3
    assert calls | {"s3:ListBucketVersions"} <= allowed


def test_the_registry_may_look_at_what_a_package_is_deployed_from() -> None:
    policies = FUNCTIONS["RegisterModelFunction"]["Policies"]
    found = {item["Sid"]: item for policy in policies for item in policy["Statement"]}
    assert found["ResolveImages"]["Action"] == ["ecr:BatchGetImage", "ecr:DescribeImages"]
    artefacts = json.dumps(found["CheckArtefacts"]["Resource"])
    assert all(part in artefacts for part in ("/models/*", "/pipelines/*", "jumpstart-cache-prod-"))


def test_what_is_created_needs_the_owners_tag_and_what_it_refers_to_no_tag_that_iam_may_not_know_yet() -> None:
    untagged = {
        (action, resource["Fn::Sub"].rpartition(":")[2])
        for name, found in statements()
        if name == "PipelineRole" and "Condition" not in found
        for action in listed(found["Action"])
        if action.startswith("sagemaker:Create") and action != "sagemaker:CreateTrainingJob"
        for resource in listed(found["Resource"])
    }
    assert untagged == {
        ("sagemaker:CreateEndpoint", "endpoint-config/*"),
        ("sagemaker:CreateEndpointConfig", "model/*"),
    }


def test_links_are_kept_only_where_they_are_turned_on() -> None:
    [policy] = FUNCTIONS["RenderReportFunction"]["Policies"]
    [(condition, kept, otherwise)] = [item["Fn::If"] for item in policy["Statement"] if "Fn::If" in item]
    assert (condition, kept["Action"], otherwise) == ("HasApprovalLinks", "dynamodb:PutItem", {"Ref": "AWS::NoValue"})


def test_nobody_may_delete_an_endpoint_that_assay_did_not_create() -> None:
    deleting = [
        statement
        for _, statement in statements()
        if any(action.startswith("sagemaker:Delete") for action in listed(statement["Action"]))
    ]
    assert deleting
    for statement in deleting:
        tags = statement["Condition"]["StringEquals"]
        assert tags == {"aws:ResourceTag/assay:owner": {"Ref": "AWS::StackName"}}


def test_the_owner_that_the_policies_trust_is_the_owner_that_the_functions_write() -> None:
    for function in ("StartEvaluationFunction", "RegisterModelFunction", "ReleaseEndpointsFunction"):
        assert FUNCTIONS[function]["Environment"]["Variables"]["OWNER"] == {"Ref": "AWS::StackName"}


# ---- profiles


def test_profiles_hold_nothing_of_an_account_and_their_pipelines_differ() -> None:
    text = (PROJECT / "samconfig.toml").read_text()
    assert not re.search(r"\d{12}|@|arn:", text)
    profiles = tomllib.loads(text)
    assert set(profiles) == {"version", "default", "dev", "prod"}
    overrides = {
        profile: dict(
            item.split("=") for item in values.get("deploy", {}).get("parameters", {}).get("parameter_overrides", [])
        )
        for profile, values in profiles.items()
        if profile != "version"
    }
    prefixes = [given.get("PipelinePrefix", "assay") for given in overrides.values()]
    assert len(set(prefixes)) == len(prefixes)
    stacks = [profiles[profile]["global"]["parameters"]["stack_name"] for profile in overrides]
    assert len(set(stacks)) == len(stacks)
    for given in overrides.values():
        for name, value in given.items():
            parameter = TEMPLATE["Parameters"][name]
            assert re.fullmatch(parameter.get("AllowedPattern", ".*"), value)
            assert value in map(str, parameter.get("AllowedValues", [value]))


def test_outputs_name_what_others_need() -> None:
    assert {"BucketName", "EventBusName", "TopicArn", "ConcludeEvaluationStateMachineArn", "EvaluationsTable"} <= set(
        TEMPLATE["Outputs"]
    )
