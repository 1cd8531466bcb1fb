"""Templates become real resources; what is not carried out does not deploy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.adapters.cloudformation_strict import in_dependency_order
from local.cloud import LocalCloudError, Settings, UnsupportedError
from local.deploy import deploy, resolve_parameters
from local.resources import RESOURCES
from local.supported import _PATHS, check_template
from tests.local.conftest import RUNTIME

Write = Callable[[str, str], Path]

VERSION = RUNTIME.removeprefix("python")
HANDLER = """
    def lambda_handler(event, context):
        return {"from": "handler", "event": event}
"""


def test_every_resource_type_has_both_a_class_and_a_table_of_properties() -> None:
    assert set(RESOURCES) == set(_PATHS)


def test_an_unknown_resource_type_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"Site: resource type AWS::CloudFront::Distribution"):
        check_template({"Resources": {"Site": {"Type": "AWS::CloudFront::Distribution"}}})


@pytest.mark.parametrize(
    ("kind", "properties", "path"),
    [
        ("AWS::S3::Bucket", {"WebsiteConfiguration": {"IndexDocument": "i"}}, "WebsiteConfiguration.IndexDocument"),
        ("AWS::S3::Bucket", {"VersioningConfiguration": {"MfaDelete": "on"}}, "VersioningConfiguration.MfaDelete"),
        (
            "AWS::Events::Rule",
            {"Targets": [{"Arn": "a", "Id": "b", "EcsParameters": {"x": 1}}]},
            "Targets.EcsParameters.x",
        ),
        ("AWS::Lambda::Function", {"VpcConfig": {}}, "VpcConfig"),
        ("AWS::SQS::Queue", {"Fn::If": ["C", {"Colour": "red"}, {"Ref": "AWS::NoValue"}]}, "Colour"),
    ],
)
def test_an_unknown_property_is_refused_with_its_path(kind: str, properties: dict[str, Any], path: str) -> None:
    with pytest.raises(UnsupportedError, match=rf"Thing \({kind}\): property {path} is not carried out"):
        check_template({"Resources": {"Thing": {"Type": kind, "Properties": properties}}})


def test_unknown_sections_functions_and_attributes_are_refused_all_at_once() -> None:
    template = {
        "Rules": {},
        "Resources": {
            "Queue": {
                "Type": "AWS::SQS::Queue",
                "UpdatePolicy": {},
                "Properties": {"QueueName": {"Fn::ImportValue": "x"}},
            }
        },
    }
    with pytest.raises(UnsupportedError) as caught:
        check_template(template)
    message = str(caught.value)
    assert "section Rules" in message
    assert "Fn::ImportValue" in message
    assert "attribute UpdatePolicy" in message


def test_parameters_are_checked_as_cloudformation_checks_them() -> None:
    template = {
        "Parameters": {
            "Stage": {"Type": "String", "AllowedValues": ["dev", "prod"], "Default": "dev"},
            "PythonVersion": {"Type": "String", "AllowedPattern": r"3\.\d+", "Default": 3.11},
            "Mail": {"Type": "String", "MaxLength": 5},
            "Days": {"Type": "Number", "MinValue": 1, "MaxValue": 7, "Default": 1},
            "Strict": {"Type": "String", "AllowedValues": [True, False], "Default": True},
        }
    }
    defaults = {"Stage": "dev", "PythonVersion": "3.11", "Days": "1", "Strict": "true"}
    assert resolve_parameters(template, {"Mail": "a@b.c"}) == {**defaults, "Mail": "a@b.c"}
    for given, fault in (
        ({"Mail": "abcdef"}, "must have -inf to 5 characters"),
        ({"Mail": "a", "Days": "8"}, "must have 1 to 7 as its value"),
        ({"Mail": "a", "Days": "week"}, "is not a number"),
        ({}, "Mail has no value"),
        ({"Mail": "a", "Stage": "test"}, "none of dev, prod"),
        ({"Mail": "a", "PythonVersion": "4"}, "does not match"),
        ({"Mail": "a", "Colour": "red"}, "no parameter Colour"),
    ):
        with pytest.raises(LocalCloudError, match=fault):
            resolve_parameters(template, given)


def test_a_parameter_whose_value_aws_would_look_up_is_refused() -> None:
    template = {"Parameters": {"Image": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/assay/image"}}}
    with pytest.raises(UnsupportedError, match="SSM"):
        resolve_parameters(template, {})


def test_resources_come_after_what_they_refer_to() -> None:
    resources = {
        "Rule": {"Properties": {"Targets": [{"Arn": {"Fn::GetAtt": ["Function", "Arn"]}}]}},
        "Function": {"DependsOn": "Log", "Properties": {"Role": {"Fn::Sub": "${Role.Arn}"}}},
        "Log": {},
        "Role": {},
    }
    order = in_dependency_order(resources)
    assert order.index("Role") < order.index("Function") < order.index("Rule")
    assert order.index("Log") < order.index("Function")


def test_a_template_that_was_not_built_says_what_builds_it(tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match="make build"):
        deploy(Settings(tmp_path, tmp_path, 1))


STORAGE = """
    Parameters:
      Listening: {Type: String, Default: "true"}
      Colours: {Type: CommaDelimitedList, Default: "red,blue"}
    Conditions:
      Listens: !Equals [!Ref Listening, "true"]
    Resources:
      Bucket:
        Type: AWS::S3::Bucket
        DeletionPolicy: Retain
        Properties:
          VersioningConfiguration: {Status: Enabled}
          NotificationConfiguration:
            Fn::If:
              - Listens
              - EventBridgeConfiguration: {EventBridgeEnabled: true}
              - !Ref AWS::NoValue
          PublicAccessBlockConfiguration:
            {BlockPublicAcls: true, BlockPublicPolicy: true, IgnorePublicAcls: true, RestrictPublicBuckets: true}
          BucketEncryption:
            ServerSideEncryptionConfiguration:
              - ServerSideEncryptionByDefault: {SSEAlgorithm: AES256}
          LifecycleConfiguration:
            Rules:
              - {Id: old, Status: Enabled, NoncurrentVersionExpiration: {NoncurrentDays: 30}}
      BucketPolicy:
        Type: AWS::S3::BucketPolicy
        Properties:
          Bucket: !Ref Bucket
          PolicyDocument:
            Version: "2012-10-17"
            Statement:
              - {Effect: Deny, Principal: "*", Action: "s3:*", Resource: !Sub "${Bucket.Arn}/*"}
      Table:
        Type: AWS::DynamoDB::Table
        Properties:
          BillingMode: PAY_PER_REQUEST
          AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
          KeySchema: [{AttributeName: id, KeyType: HASH}]
          TimeToLiveSpecification: {AttributeName: expires, Enabled: true}
          PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}
          SSESpecification: {SSEEnabled: true}
      OnlyWhenListening:
        Type: AWS::SQS::Queue
        Condition: Listens
        Properties:
          VisibilityTimeout: 77
      Group:
        Type: AWS::SageMaker::ModelPackageGroup
        Properties:
          ModelPackageGroupName: !Sub "${AWS::StackName}-group"
      Alarm:
        Type: AWS::CloudWatch::Alarm
        Properties:
          Namespace: AWS/SQS
          MetricName: ApproximateNumberOfMessagesVisible
          Statistic: Maximum
          Period: 60
          EvaluationPeriods: 1
          Threshold: 0
          ComparisonOperator: GreaterThanThreshold
      Logs:
        Type: AWS::Logs::LogGroup
        Properties: {RetentionInDays: 7}
      Bus:
        Type: AWS::Events::EventBus
        Properties: {Name: !Sub "${AWS::StackName}-bus"}
      ScheduleGroup:
        Type: AWS::Scheduler::ScheduleGroup
    Outputs:
      Bucket: {Value: !Ref Bucket}
      Table: {Value: !Ref Table}
      Queue: {Condition: Listens, Value: !Ref OnlyWhenListening}
      First: {Value: !Select [0, !Ref Colours]}
      Group: {Value: !GetAtt Group.ModelPackageGroupArn}
"""


def test_storage_is_there_with_everything_that_the_template_says(running: Any, tmp_path: Path) -> None:
    outputs = running.deploy(tmp_path, STORAGE, "storage")
    s3, dynamodb = running.aws("s3"), running.aws("dynamodb")
    bucket, table = outputs["Bucket"], outputs["Table"]
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]["BlockPublicAcls"] is True
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"][0]["ID"] == "old"
    assert "EventBridgeConfiguration" in s3.get_bucket_notification_configuration(Bucket=bucket)
    assert bucket in s3.get_bucket_policy(Bucket=bucket)["Policy"]
    assert dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]["AttributeName"] == "expires"
    backups = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    assert outputs["First"] == "red"
    assert outputs["Group"].endswith("model-package-group/storage-group")
    resources = running.aws("cloudformation").list_stack_resources(StackName="storage")["StackResourceSummaries"]
    physical = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in resources}
    assert physical["Table"] == table
    assert running.aws("cloudwatch").describe_alarms(AlarmNamePrefix="storage-")["MetricAlarms"]


def test_an_update_changes_in_place_what_parameters_and_conditions_change(running: Any, tmp_path: Path) -> None:
    first = running.deploy(tmp_path, STORAGE, "updated")
    second = running.deploy(tmp_path, STORAGE, "updated", {"Listening": "false", "Colours": "green"})
    assert second["Bucket"] == first["Bucket"]
    assert second["First"] == "green"
    assert "Queue" not in second
    described = running.aws("cloudformation").describe_stack_resources(StackName="updated")["StackResources"]
    assert "OnlyWhenListening" not in {resource["LogicalResourceId"] for resource in described}
    queues = running.aws("sqs").list_queues(QueueNamePrefix="updated-OnlyWhenListening")
    assert not queues.get("QueueUrls")
    third = running.deploy(tmp_path, STORAGE, "updated")
    attributes = running.aws("sqs").get_queue_attributes(QueueUrl=third["Queue"], AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "77"


def test_a_retained_resource_outlives_its_template(running: Any, tmp_path: Path) -> None:
    bucket = running.deploy(tmp_path, STORAGE, "retained")["Bucket"]
    running.deploy(tmp_path, "Resources: {Other: {Type: AWS::SQS::Queue}}", "retained")
    running.aws("s3").head_bucket(Bucket=bucket)


def test_a_stack_that_fails_leaves_nothing_behind_and_can_be_deployed_again(running: Any, tmp_path: Path) -> None:
    broken = """
        Resources:
          Fine: {Type: AWS::SQS::Queue, Properties: {QueueName: broken-fine}}
          Broken: {Type: AWS::SQS::Queue, Properties: {QueueName: "not a name"}}
    """
    with pytest.raises(LocalCloudError, match=r"Broken \(AWS::SQS::Queue\)"):
        running.deploy(tmp_path, broken, "broken")
    assert not running.aws("sqs").list_queues(QueueNamePrefix="broken-fine").get("QueueUrls")
    running.deploy(tmp_path, broken.replace("not a name", "a-name"), "broken")


def test_an_update_that_failed_is_brought_on_by_the_next_one(running: Any, tmp_path: Path) -> None:
    good = "Resources: {Q: {Type: AWS::SQS::Queue, Properties: {QueueName: again, VisibilityTimeout: %s}}}"
    running.deploy(tmp_path, good % 10, "again")
    bad = good % 20 + "\n"
    bad = bad.replace("Resources: {", "Resources: {Bad: {Type: AWS::SQS::Queue, Properties: {QueueName: 'no name'}}, ")
    with pytest.raises(LocalCloudError, match="Bad"):
        running.deploy(tmp_path, bad, "again")
    running.deploy(tmp_path, good % 30, "again")
    url = running.aws("sqs").get_queue_url(QueueName="again")["QueueUrl"]
    found = running.aws("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["VisibilityTimeout"])
    assert found["Attributes"]["VisibilityTimeout"] == "30"


TAKEN_AWAY = """
    Resources:
      Letters: {Type: AWS::SQS::Queue}
      Inbox: {Type: AWS::SQS::Queue, Properties: {%(queue)s}}
      Topic: {Type: AWS::SNS::Topic, Properties: {%(topic)s}}
      Reads:
        Type: AWS::SNS::Subscription
        Properties: {TopicArn: !Ref Topic, Protocol: sqs, Endpoint: !GetAtt Letters.Arn, %(subscription)s}
      Policy:
        Type: AWS::IAM::ManagedPolicy
        Properties:
          PolicyDocument: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "s3:GetObject", Resource: "*"}]}
      Role:
        Type: AWS::IAM::Role
        Properties:
          AssumeRolePolicyDocument:
            Version: "2012-10-17"
            Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: "sts:AssumeRole"}]
          %(role)s
    Outputs:
      Inbox: {Value: !Ref Inbox}
      Letters: {Value: !GetAtt Letters.QueueName}
      Topic: {Value: !Ref Topic}
      Reads: {Value: !Ref Reads}
      Role: {Value: !Ref Role}
"""


def test_what_an_update_takes_away_has_no_effect_any_more(running: Any, tmp_path: Path) -> None:
    sqs, sns, iam = running.aws("sqs"), running.aws("sns"), running.aws("iam")
    full = {
        "queue": "VisibilityTimeout: 77, RedrivePolicy: {deadLetterTargetArn: !GetAtt Letters.Arn, maxReceiveCount: 2}",
        "topic": "Subscription: [{Protocol: sqs, Endpoint: !GetAtt Inbox.Arn}]",
        "subscription": "FilterPolicy: {kind: [wanted]}, RawMessageDelivery: true",
        "role": "ManagedPolicyArns: [!Ref Policy]",
    }
    outputs = running.deploy(tmp_path, TAKEN_AWAY % full, "taken-away")
    assert len(sns.list_subscriptions_by_topic(TopicArn=outputs["Topic"])["Subscriptions"]) == 2
    assert iam.list_attached_role_policies(RoleName=outputs["Role"])["AttachedPolicies"]

    running.deploy(tmp_path, TAKEN_AWAY % dict.fromkeys(full, ""), "taken-away")

    attributes = sqs.get_queue_attributes(QueueUrl=outputs["Inbox"], AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "30"
    assert "RedrivePolicy" not in attributes
    (left,) = sns.list_subscriptions_by_topic(TopicArn=outputs["Topic"])["Subscriptions"]
    assert left["SubscriptionArn"] == outputs["Reads"]
    attributes = sns.get_subscription_attributes(SubscriptionArn=outputs["Reads"])["Attributes"]
    assert not attributes.get("FilterPolicy")
    assert attributes["RawMessageDelivery"] == "false"
    assert iam.list_attached_role_policies(RoleName=outputs["Role"])["AttachedPolicies"] == []
    sns.publish(TopicArn=outputs["Topic"], Message="read by everyone")
    assert running.messages(sqs.get_queue_url(QueueName=outputs["Letters"])["QueueUrl"])


def test_a_new_name_is_refused_because_it_would_replace_the_resource(running: Any, tmp_path: Path) -> None:
    template = "Resources: {Q: {Type: AWS::SQS::Queue, Properties: {QueueName: %s}}}"
    running.deploy(tmp_path, template % "first", "renamed")
    with pytest.raises(UnsupportedError, match="a new QueueName replaces the resource"):
        running.deploy(tmp_path, template % "second", "renamed")


SERVERLESS_TEMPLATE = """
    Transform: AWS::Serverless-2016-10-31
    Parameters:
      PythonVersion: {Type: String, Default: RUNTIME_VERSION}
    Globals:
      Function:
        Runtime: !Sub python${PythonVersion}
        Handler: app.lambda_handler
        Timeout: 20
        LoggingConfig: {LogFormat: JSON, ApplicationLogLevel: INFO}
    Resources:
      Letters:
        Type: AWS::SQS::Queue
      Layer:
        Type: AWS::Serverless::LayerVersion
        Properties: {ContentUri: layer}
      Function:
        Type: AWS::Serverless::Function
        Properties:
          CodeUri: function
          Layers: [!Ref Layer]
          Policies: [{Version: "2012-10-17", Statement: [{Effect: Allow, Action: "s3:GetObject", Resource: "*"}]}]
          Environment: {Variables: {QUEUE: !Ref Letters, FLAG: true}}
          DeadLetterQueue: {Type: SQS, TargetArn: !GetAtt Letters.Arn}
          EventInvokeConfig:
            MaximumRetryAttempts: 1
            DestinationConfig: {OnFailure: {Type: SQS, Destination: !GetAtt Letters.Arn}}
          Events:
            Asked:
              Type: EventBridgeRule
              Properties:
                Pattern: {source: [serverless]}
                DeadLetterConfig: {Type: SQS, QueueLogicalId: RuleLetters}
                RetryPolicy: {MaximumRetryAttempts: 3}
            Regularly:
              Type: ScheduleV2
              Properties: {ScheduleExpression: rate(15 minutes), Name: !Sub "${AWS::StackName}-regularly"}
    Outputs:
      Function: {Value: !Ref Function}
      Layer: {Value: !Ref Layer}
"""
SERVERLESS = SERVERLESS_TEMPLATE.replace("RUNTIME_VERSION", f'"{VERSION}"')


def test_a_serverless_function_keeps_layers_configuration_rules_and_queues(
    running: Any, tmp_path: Path, write: Write
) -> None:
    write("function/app.py", HANDLER)
    write("layer/python/lettered.py", "NAME = 'first'\n")
    outputs = running.deploy(tmp_path, SERVERLESS, "serverless")
    functions, name = running.aws("lambda"), outputs["Function"]
    configuration = functions.get_function_configuration(FunctionName=name)
    assert [layer["Arn"] for layer in configuration["Layers"]] == [outputs["Layer"]]
    assert configuration["Environment"]["Variables"]["FLAG"] == "true"
    assert ":serverless-Letters-" in configuration["DeadLetterConfig"]["TargetArn"]
    assert configuration["LoggingConfig"]["LogFormat"] == "JSON"
    invoked = functions.get_function_event_invoke_config(FunctionName=name)
    assert invoked["MaximumRetryAttempts"] == 1
    rules = running.aws("events").list_rules(NamePrefix="serverless-FunctionAsked")["Rules"]
    (target,) = running.aws("events").list_targets_by_rule(Rule=rules[0]["Name"])["Targets"]
    assert target["RetryPolicy"] == {"MaximumRetryAttempts": 3}
    assert "RuleLetters" in target["DeadLetterConfig"]["Arn"]
    assert running.aws("scheduler").list_schedules(NamePrefix="serverless")["Schedules"]


def test_changed_code_and_layers_are_run_after_an_update(running: Any, tmp_path: Path, write: Write) -> None:
    write(
        "function/app.py", "import lettered\ndef lambda_handler(event, context):\n    return ['one', lettered.NAME]\n"
    )
    write("layer/python/lettered.py", "NAME = 'first'\n")
    name = running.deploy(tmp_path, SERVERLESS, "recoded")["Function"]
    invoke = running.aws("lambda").invoke
    assert invoke(FunctionName=name)["Payload"].read() == b'["one", "first"]'
    write(
        "function/app.py", "import lettered\ndef lambda_handler(event, context):\n    return ['two', lettered.NAME]\n"
    )
    write("layer/python/lettered.py", "NAME = 'second'\n")
    assert running.deploy(tmp_path, SERVERLESS, "recoded")["Function"] == name
    assert invoke(FunctionName=name)["Payload"].read() == b'["two", "second"]'


def test_a_runtime_that_is_not_installed_is_refused(running: Any, tmp_path: Path, write: Write) -> None:
    write("function/app.py", HANDLER)
    write("layer/python/lettered.py", "")
    with pytest.raises(LocalCloudError, match=r"runtime 'python3.9', but the local runtime is 'python3\.\d+'"):
        running.deploy(tmp_path, SERVERLESS, "wrong-runtime", {"PythonVersion": "3.9"})


def test_a_missing_artefact_is_named(running: Any, tmp_path: Path) -> None:
    with pytest.raises(LocalCloudError, match=r"layer does not exist|function does not exist"):
        running.deploy(tmp_path, SERVERLESS, "missing")
