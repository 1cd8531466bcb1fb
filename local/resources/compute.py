"""Functions, layers and state machines."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml
from botocore.exceptions import ClientError

from local import artefacts
from local.cloud import LocalCloudError, UnsupportedError
from local.functions import urls
from local.resources.resource import Resource, as_flag, as_text, tag_map

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9_.:]+)\}")


class Function(Resource):
    type_name = "AWS::Lambda::Function"
    name_property = "FunctionName"
    attribute_names = ("Arn",)
    replaces = ("PackageType",)
    _configuration_names = (
        "Handler",
        "Role",
        "Runtime",
        "Description",
        "Timeout",
        "MemorySize",
        "Environment",
        "Layers",
        "DeadLetterConfig",
        "LoggingConfig",
        "TracingConfig",
        "EphemeralStorage",
    )

    def create(self) -> None:
        arguments = {**self._configuration(), **self.pick("Code", "Architectures", "PackageType")}
        created = self.aws("lambda").create_function(FunctionName=self.name, Tags=tag_map(self.properties), **arguments)
        self.attributes = {"Arn": created["FunctionArn"]}
        self._limit()

    def update(self) -> None:
        functions = self.aws("lambda")
        functions.update_function_configuration(FunctionName=self.name, **self._defaults(), **self._configuration())
        if self.properties["Code"] != self.previous["Code"]:
            functions.update_function_code(FunctionName=self.name, **self.properties["Code"])
        self._limit()

    def remove(self) -> None:
        self.aws("lambda").delete_function(FunctionName=self.name)

    def _configuration(self) -> dict[str, Any]:
        configuration = self.pick(*self._configuration_names)
        for name in ("Timeout", "MemorySize"):
            if name in configuration:
                configuration[name] = int(configuration[name])
        if "Environment" in configuration:
            variables = configuration["Environment"].get("Variables", {})
            texts = {name: as_text(value) for name, value in variables.items()}
            configuration["Environment"] = {"Variables": texts}
        return configuration

    def _defaults(self) -> dict[str, Any]:
        """What a property that is gone goes back to."""
        defaults: dict[str, Any] = {
            "Timeout": 3,
            "MemorySize": 128,
            "Environment": {"Variables": {}},
            "Layers": [],
            "DeadLetterConfig": {},
            "LoggingConfig": {},
        }
        return {name: value for name, value in defaults.items() if name not in self.properties}

    def _limit(self) -> None:
        reserved = self.properties.get("ReservedConcurrentExecutions")
        if reserved is not None:
            self.aws("lambda").put_function_concurrency(
                FunctionName=self.name, ReservedConcurrentExecutions=int(reserved)
            )
        elif "ReservedConcurrentExecutions" in self.previous:
            self.aws("lambda").delete_function_concurrency(FunctionName=self.name)


class LayerVersion(Resource):
    type_name = "AWS::Lambda::LayerVersion"
    name_property = "LayerName"
    name_limit = 140
    attribute_names = ("LayerVersionArn",)

    def create(self) -> None:
        arguments = self.pick("Content", "Description", "CompatibleRuntimes", "CompatibleArchitectures", "LicenseInfo")
        published = self.aws("lambda").publish_layer_version(LayerName=self.name, **arguments)
        self.physical_resource_id = published["LayerVersionArn"]
        self.attributes = {"LayerVersionArn": published["LayerVersionArn"]}

    def update(self) -> None:
        # A version never changes: AWS publishes another one, and what refers to it is updated after it.
        self.create()

    def remove(self) -> None:
        version = int(self.physical_resource_id.rsplit(":", 1)[-1])
        self.aws("lambda").delete_layer_version(LayerName=self.name, VersionNumber=version)


class Permission(Resource):
    type_name = "AWS::Lambda::Permission"

    def create(self) -> None:
        arguments = self.pick("FunctionName", "Action", "Principal", "SourceArn", "SourceAccount")
        self.aws("lambda").add_permission(StatementId=self.name, **arguments)

    def update(self) -> None:
        self.aws("lambda").remove_permission(FunctionName=self.previous["FunctionName"], StatementId=self.name)
        self.create()

    def remove(self) -> None:
        function = self.properties["FunctionName"]
        try:
            self.aws("lambda").remove_permission(FunctionName=function, StatementId=self.name)
        except ClientError as error:
            # The function, and its permissions with it, may have been deleted before.
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise


class Url(Resource):
    type_name = "AWS::Lambda::Url"
    attribute_names = ("FunctionUrl", "FunctionArn")
    replaces = ("TargetFunctionArn", "AuthType")

    def create(self) -> None:
        if self.properties["AuthType"] != "NONE":
            raise UnsupportedError("of function URLs only those without authentication (AuthType NONE) are carried out")
        target = self.properties["TargetFunctionArn"]
        arn = self.aws("lambda").get_function_configuration(FunctionName=target)["FunctionArn"]
        self.physical_resource_id = arn
        self.attributes = {"FunctionUrl": urls.give(self.cloud.settings, target), "FunctionArn": arn}

    def update(self) -> None:
        """A URL is its function and its authentication."""

    def remove(self) -> None:
        urls.take(self.physical_resource_id)


class EventInvokeConfig(Resource):
    type_name = "AWS::Lambda::EventInvokeConfig"
    replaces = ("FunctionName", "Qualifier")

    def create(self) -> None:
        if self.properties.get("Qualifier", "$LATEST") != "$LATEST":
            raise UnsupportedError("only the qualifier $LATEST is carried out")
        self.update()

    def update(self) -> None:
        arguments = self.pick("DestinationConfig")
        for name, value in self.pick("MaximumRetryAttempts", "MaximumEventAgeInSeconds").items():
            arguments[name] = int(value)
        if self.previous:
            self.remove()
        self.aws("lambda").put_function_event_invoke_config(FunctionName=self.properties["FunctionName"], **arguments)

    def remove(self) -> None:
        try:
            self.aws("lambda").delete_function_event_invoke_config(FunctionName=self.properties["FunctionName"])
        except ClientError as error:
            # The function, and its configuration with it, may have been deleted before.
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise


class StateMachine(Resource):
    type_name = "AWS::StepFunctions::StateMachine"
    name_property = "StateMachineName"
    name_limit = 80
    attribute_names = ("Arn", "Name")
    replaces = ("StateMachineType",)

    def create(self) -> None:
        tags = [{"key": key, "value": value} for key, value in tag_map(self.properties).items()]
        created = self.aws("stepfunctions").create_state_machine(
            name=self.name, type=self.properties.get("StateMachineType", "STANDARD"), tags=tags, **self._arguments()
        )
        self.physical_resource_id = created["stateMachineArn"]
        self.attributes = {"Arn": created["stateMachineArn"], "Name": self.name}

    def update(self) -> None:
        self.aws("stepfunctions").update_state_machine(stateMachineArn=self.physical_resource_id, **self._arguments())

    def remove(self) -> None:
        self.aws("stepfunctions").delete_state_machine(stateMachineArn=self.physical_resource_id)

    def _arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {"definition": self._definition(), "roleArn": self.properties["RoleArn"]}
        if tracing := self.properties.get("TracingConfiguration"):
            arguments["tracingConfiguration"] = {"enabled": as_flag(tracing.get("Enabled", False))}
        if logging := self.properties.get("LoggingConfiguration"):
            arguments["loggingConfiguration"] = {
                "level": logging.get("Level", "OFF"),
                "includeExecutionData": as_flag(logging.get("IncludeExecutionData", False)),
                "destinations": [
                    {"cloudWatchLogsLogGroup": {"logGroupArn": entry["CloudWatchLogsLogGroup"]["LogGroupArn"]}}
                    for entry in logging.get("Destinations", [])
                ],
            }
        return arguments

    def _definition(self) -> str:
        """Return the definition as JSON, with every placeholder filled in as CloudFormation does, on the text."""
        text = self._source()
        for name, value in self.properties.get("DefinitionSubstitutions", {}).items():
            text = text.replace(f"${{{name}}}", as_text(value))
        left = sorted(set(_PLACEHOLDER.findall(text)))
        if left:
            raise LocalCloudError(f"DefinitionSubstitutions has no value for {', '.join(left)}")
        try:
            definition = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise LocalCloudError(f"the definition is neither JSON nor YAML: {error}") from error
        return json.dumps(definition, default=str)

    def _source(self) -> str:
        if "DefinitionString" in self.properties:
            return str(self.properties["DefinitionString"])
        if "Definition" in self.properties:
            return json.dumps(self.properties["Definition"])
        if "DefinitionS3Location" not in self.properties:
            raise LocalCloudError("a state machine needs DefinitionString, Definition or DefinitionS3Location")
        location = self.properties["DefinitionS3Location"]
        if location["Bucket"] == artefacts.BUCKET:
            return artefacts.path(self.cloud.settings.home, location["Key"]).read_text(encoding="utf-8")
        found = self.aws("s3").get_object(Bucket=location["Bucket"], Key=location["Key"])
        return str(found["Body"].read().decode())
