"""Which resource types, properties and intrinsic functions the local cloud carries out; nothing else deploys.

A property that only has a meaning in AWS (a key, a memory size) is carried out by being accepted: it stands in
`local/unchecked.py` with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from local.cloud import UnsupportedError

# One path of properties a line; lists are looked through; `.*` takes everything below.
_PROPERTIES: dict[str, str] = {
    "AWS::S3::Bucket": """
        BucketName
        VersioningConfiguration.Status
        NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled
        PublicAccessBlockConfiguration.*
        BucketEncryption.ServerSideEncryptionConfiguration.ServerSideEncryptionByDefault.SSEAlgorithm
        BucketEncryption.ServerSideEncryptionConfiguration.ServerSideEncryptionByDefault.KMSMasterKeyID
        BucketEncryption.ServerSideEncryptionConfiguration.BucketKeyEnabled
        LifecycleConfiguration.Rules.Id
        LifecycleConfiguration.Rules.Status
        LifecycleConfiguration.Rules.Prefix
        LifecycleConfiguration.Rules.ExpirationInDays
        LifecycleConfiguration.Rules.ExpiredObjectDeleteMarker
        LifecycleConfiguration.Rules.NoncurrentVersionExpiration.NoncurrentDays
        LifecycleConfiguration.Rules.NoncurrentVersionExpiration.NewerNoncurrentVersions
        LifecycleConfiguration.Rules.AbortIncompleteMultipartUpload.DaysAfterInitiation
        LifecycleConfiguration.Rules.Transitions.TransitionInDays
        LifecycleConfiguration.Rules.Transitions.StorageClass
        OwnershipControls.Rules.ObjectOwnership
        Tags.*
    """,
    "AWS::S3::BucketPolicy": "Bucket PolicyDocument.*",
    "AWS::DynamoDB::Table": """
        TableName
        AttributeDefinitions.AttributeName AttributeDefinitions.AttributeType
        KeySchema.AttributeName KeySchema.KeyType
        BillingMode
        ProvisionedThroughput.*
        GlobalSecondaryIndexes.*
        LocalSecondaryIndexes.*
        TimeToLiveSpecification.AttributeName TimeToLiveSpecification.Enabled
        PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled
        SSESpecification.SSEEnabled SSESpecification.SSEType SSESpecification.KMSMasterKeyId
        DeletionProtectionEnabled
        TableClass
        Tags.*
    """,
    "AWS::SNS::Topic": "TopicName DisplayName KmsMasterKeyId Subscription.Protocol Subscription.Endpoint Tags.*",
    "AWS::SNS::TopicPolicy": "Topics PolicyDocument.*",
    "AWS::SNS::Subscription": """
        TopicArn Protocol Endpoint FilterPolicy.* FilterPolicyScope RawMessageDelivery RedrivePolicy.*
    """,
    "AWS::SQS::Queue": """
        QueueName
        DelaySeconds
        MaximumMessageSize
        MessageRetentionPeriod
        ReceiveMessageWaitTimeSeconds
        VisibilityTimeout
        RedrivePolicy.*
        FifoQueue
        ContentBasedDeduplication
        KmsMasterKeyId
        SqsManagedSseEnabled
        Tags.*
    """,
    "AWS::SQS::QueuePolicy": "Queues PolicyDocument.*",
    "AWS::Events::EventBus": "Name Description DeadLetterConfig.Arn Tags.*",
    "AWS::Events::Rule": """
        Name
        Description
        EventBusName
        EventPattern.*
        ScheduleExpression
        State
        RoleArn
        Targets.Id
        Targets.Arn
        Targets.RoleArn
        Targets.Input
        Targets.InputPath
        Targets.InputTransformer.InputPathsMap.*
        Targets.InputTransformer.InputTemplate
        Targets.RetryPolicy.MaximumRetryAttempts
        Targets.RetryPolicy.MaximumEventAgeInSeconds
        Targets.DeadLetterConfig.Arn
        Targets.SqsParameters.MessageGroupId
    """,
    "AWS::Scheduler::ScheduleGroup": "Name Tags.*",
    "AWS::Scheduler::Schedule": """
        Name
        GroupName
        Description
        ScheduleExpression
        ScheduleExpressionTimezone
        FlexibleTimeWindow.Mode
        State
        Target.Arn
        Target.RoleArn
        Target.Input
        Target.RetryPolicy.MaximumRetryAttempts
        Target.RetryPolicy.MaximumEventAgeInSeconds
        Target.DeadLetterConfig.Arn
        Target.SqsParameters.MessageGroupId
        Target.EventBridgeParameters.DetailType
        Target.EventBridgeParameters.Source
    """,
    "AWS::Lambda::Function": """
        FunctionName
        Code.S3Bucket Code.S3Key
        Handler
        Runtime
        Role
        Description
        Timeout
        MemorySize
        EphemeralStorage.Size
        Environment.Variables.*
        Layers
        DeadLetterConfig.TargetArn
        LoggingConfig.LogGroup
        LoggingConfig.LogFormat
        LoggingConfig.ApplicationLogLevel
        LoggingConfig.SystemLogLevel
        TracingConfig.Mode
        ReservedConcurrentExecutions
        Architectures
        PackageType
        Tags.*
    """,
    "AWS::Lambda::LayerVersion": """
        LayerName
        Content.S3Bucket Content.S3Key
        Description
        CompatibleRuntimes
        CompatibleArchitectures
        LicenseInfo
    """,
    "AWS::Lambda::Permission": """
        FunctionName Action Principal SourceArn SourceAccount FunctionUrlAuthType InvokedViaFunctionUrl
    """,
    "AWS::Lambda::Url": "TargetFunctionArn AuthType",
    "AWS::Lambda::EventInvokeConfig": """
        FunctionName
        Qualifier
        MaximumRetryAttempts
        MaximumEventAgeInSeconds
        DestinationConfig.OnFailure.Destination
        DestinationConfig.OnSuccess.Destination
    """,
    "AWS::StepFunctions::StateMachine": """
        StateMachineName
        StateMachineType
        Definition.*
        DefinitionString
        DefinitionS3Location.Bucket DefinitionS3Location.Key
        DefinitionSubstitutions.*
        RoleArn
        LoggingConfiguration.Level
        LoggingConfiguration.IncludeExecutionData
        LoggingConfiguration.Destinations.CloudWatchLogsLogGroup.LogGroupArn
        TracingConfiguration.Enabled
        Tags.*
    """,
    "AWS::IAM::Role": """
        RoleName
        Path
        Description
        MaxSessionDuration
        AssumeRolePolicyDocument.*
        Policies.PolicyName Policies.PolicyDocument.*
        ManagedPolicyArns
        PermissionsBoundary
        Tags.*
    """,
    "AWS::IAM::Policy": "PolicyName PolicyDocument.* Roles",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName Description Path PolicyDocument.* Roles",
    "AWS::Logs::LogGroup": "LogGroupName RetentionInDays KmsKeyId LogGroupClass Tags.*",
    "AWS::CloudWatch::Alarm": """
        AlarmName
        AlarmDescription
        ActionsEnabled
        AlarmActions
        OKActions
        InsufficientDataActions
        ComparisonOperator
        DatapointsToAlarm
        Dimensions.*
        EvaluationPeriods
        ExtendedStatistic
        MetricName
        Metrics.*
        Namespace
        Period
        Statistic
        Threshold
        TreatMissingData
        Unit
        Tags.*
    """,
    # A function reads its properties, whatever they are.
    "AWS::CloudFormation::CustomResource": ".*",
    "AWS::SageMaker::ModelPackageGroup": "ModelPackageGroupName ModelPackageGroupDescription Tags.*",
}
_PATHS = {kind: frozenset(text.split()) for kind, text in _PROPERTIES.items()}
_RESOURCE_KEYS = {
    "Type",
    "Properties",
    "DependsOn",
    "Condition",
    "DeletionPolicy",
    "UpdateReplacePolicy",
    "Metadata",
}
_SECTIONS = {
    "AWSTemplateFormatVersion",
    "Description",
    "Metadata",
    "Parameters",
    "Mappings",
    "Conditions",
    "Resources",
    "Outputs",
}
_FUNCTIONS = {
    "Fn::And",
    "Fn::Base64",
    "Fn::Equals",
    "Fn::FindInMap",
    "Fn::GetAtt",
    "Fn::If",
    "Fn::Join",
    "Fn::Not",
    "Fn::Or",
    "Fn::Select",
    "Fn::Split",
    "Fn::Sub",
    "Fn::ToJsonString",
}


def type_of(kind: str) -> str:
    """The type by which a resource type is carried out: one for all that are called `Custom::…`."""
    return "AWS::CloudFormation::CustomResource" if kind.startswith("Custom::") else kind


def check_template(template: Mapping[str, Any]) -> None:
    """Refuse a translated template that asks for more than the local cloud carries out.

    Raises:
        UnsupportedError: one line for each resource type, property, section or function that is not carried out.
    """
    faults = [f"section {name} is not carried out" for name in sorted(set(template) - _SECTIONS)]
    faults += [f"{place}: {name} is not carried out" for place, name in _unknown_functions(template, "")]
    for logical_id, resource in template.get("Resources", {}).items():
        faults += _resource_faults(logical_id, resource)
    if faults:
        raise UnsupportedError("\n".join(faults))


def _resource_faults(logical_id: str, resource: Mapping[str, Any]) -> list[str]:
    if logical_id.startswith("Fn::"):
        return []  # named among the functions
    kind = type_of(resource["Type"])
    if kind not in _PATHS:
        return [f"{logical_id}: resource type {kind} is not carried out by the local cloud"]
    faults = [f"{logical_id}: attribute {name} is not carried out" for name in sorted(set(resource) - _RESOURCE_KEYS)]
    for path in _unknown_paths(resource.get("Properties", {}), "", _PATHS[kind]):
        faults.append(f"{logical_id} ({kind}): property {path} is not carried out by the local cloud")
    return faults


def _unknown_paths(value: Any, path: str, known: frozenset[str]) -> Iterator[str]:
    if f"{path}.*" in known:
        return
    if isinstance(value, list):
        for item in value:
            yield from _unknown_paths(item, path, known)
    elif isinstance(value, Mapping):
        if "Fn::If" in value:
            for branch in value["Fn::If"][1:]:
                yield from _unknown_paths(branch, path, known)
        elif not _is_function(value):
            for key, item in value.items():
                yield from _unknown_paths(item, f"{path}.{key}" if path else key, known)
            if not value and path and path not in known and not _leads_on(path, known):
                yield path
    elif path not in known:
        yield path


def _leads_on(path: str, known: frozenset[str]) -> bool:
    return any(candidate.startswith(f"{path}.") for candidate in known)


def _is_function(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)) in ({"Ref", "Condition"} | _FUNCTIONS)


def _unknown_functions(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for item in value:
            yield from _unknown_functions(item, place)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if str(key).startswith("Fn::") and key not in _FUNCTIONS:
                yield place, key
            yield from _unknown_functions(item, f"{place}/{key}")
