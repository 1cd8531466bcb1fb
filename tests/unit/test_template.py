"""What the template promises: one vocabulary, logs that expire, limits that an account meets, profiles that differ."""

from __future__ import annotations

import re
import tomllib

from tests.unit.template_support import FUNCTIONS, MACHINES, PROJECT, RESOURCES, RULES, TEMPLATE, attribute, of_type


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


def test_no_function_needs_more_memory_than_a_new_account_allows() -> None:
    assert max(properties.get("MemorySize", 512) for properties in FUNCTIONS.values()) == 3008


def test_an_account_without_spare_concurrency_can_reserve_none() -> None:
    reserved = FUNCTIONS["DecideApprovalFunction"]["ReservedConcurrentExecutions"]
    assert reserved == {"Fn::If": ["HasApprovalConcurrency", {"Ref": "ApprovalConcurrency"}, {"Ref": "AWS::NoValue"}]}
    assert TEMPLATE["Conditions"]["HasApprovalConcurrency"] == {
        "Fn::Not": [{"Fn::Equals": [{"Ref": "ApprovalConcurrency"}, 0]}]
    }


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
