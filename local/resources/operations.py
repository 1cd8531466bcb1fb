"""Roles and policies, log groups, alarms and model package groups: there, and mostly not acted upon."""

from __future__ import annotations

import json
from typing import Any

from local.cloud import ACCOUNT_ID
from local.resources.resource import Resource, as_flag, tag_map


class Role(Resource):
    type_name = "AWS::IAM::Role"
    name_property = "RoleName"
    attribute_names = ("Arn", "RoleId")
    replaces = ("Path",)

    def create(self) -> None:
        tags = [{"Key": key, "Value": value} for key, value in tag_map(self.properties).items()]
        arguments = self.pick("Path", "Description")
        if "MaxSessionDuration" in self.properties:
            arguments["MaxSessionDuration"] = int(self.properties["MaxSessionDuration"])
        document = json.dumps(self.properties["AssumeRolePolicyDocument"])
        created = self.aws("iam").create_role(
            RoleName=self.name, AssumeRolePolicyDocument=document, Tags=tags, **arguments
        )
        self.attributes = {"Arn": created["Role"]["Arn"], "RoleId": created["Role"]["RoleId"]}
        self.update()

    def update(self) -> None:
        iam = self.aws("iam")
        if self.previous:
            document = json.dumps(self.properties["AssumeRolePolicyDocument"])
            iam.update_assume_role_policy(RoleName=self.name, PolicyDocument=document)
        policies = {policy["PolicyName"]: policy["PolicyDocument"] for policy in self.properties.get("Policies", [])}
        for policy in self.previous.get("Policies", []):
            if policy["PolicyName"] not in policies:
                iam.delete_role_policy(RoleName=self.name, PolicyName=policy["PolicyName"])
        for name, policy in policies.items():
            iam.put_role_policy(RoleName=self.name, PolicyName=name, PolicyDocument=_document(policy))
        wanted, attached = self._own_policies(self.properties), self._own_policies(self.previous)
        for arn in attached:
            if arn not in wanted:
                iam.detach_role_policy(RoleName=self.name, PolicyArn=arn)
        for arn in wanted:
            iam.attach_role_policy(RoleName=self.name, PolicyArn=arn)

    def remove(self) -> None:
        iam = self.aws("iam")
        for policy in self.properties.get("Policies", []):
            iam.delete_role_policy(RoleName=self.name, PolicyName=policy["PolicyName"])
        for arn in self._own_policies(self.properties):
            iam.detach_role_policy(RoleName=self.name, PolicyArn=arn)
        iam.delete_role(RoleName=self.name)

    @staticmethod
    def _own_policies(properties: dict[str, Any]) -> list[str]:
        """AWS's managed policies are not there to be attached."""
        return [arn for arn in properties.get("ManagedPolicyArns", []) if f"::{ACCOUNT_ID}:" in arn]


class RolePolicy(Resource):
    type_name = "AWS::IAM::Policy"
    name_property = "PolicyName"
    replaces = ("Roles",)

    def create(self) -> None:
        self.update()

    def update(self) -> None:
        document = _document(self.properties["PolicyDocument"])
        for role in self.properties.get("Roles", []):
            self.aws("iam").put_role_policy(RoleName=role, PolicyName=self.name, PolicyDocument=document)

    def remove(self) -> None:
        for role in self.properties.get("Roles", []):
            self.aws("iam").delete_role_policy(RoleName=role, PolicyName=self.name)


class ManagedPolicy(Resource):
    type_name = "AWS::IAM::ManagedPolicy"
    name_property = "ManagedPolicyName"
    name_limit = 128
    attribute_names = ("PolicyArn",)
    replaces = ("Path", "Description", "Roles")

    def create(self) -> None:
        iam = self.aws("iam")
        document = _document(self.properties["PolicyDocument"])
        created = iam.create_policy(PolicyName=self.name, PolicyDocument=document, **self.pick("Path", "Description"))
        self.physical_resource_id = created["Policy"]["Arn"]
        self.attributes = {"PolicyArn": self.physical_resource_id}
        for role in self.properties.get("Roles", []):
            iam.attach_role_policy(RoleName=role, PolicyArn=self.physical_resource_id)

    def update(self) -> None:
        document = _document(self.properties["PolicyDocument"])
        iam = self.aws("iam")
        for version in iam.list_policy_versions(PolicyArn=self.physical_resource_id)["Versions"]:
            if not version["IsDefaultVersion"]:
                iam.delete_policy_version(PolicyArn=self.physical_resource_id, VersionId=version["VersionId"])
        iam.create_policy_version(PolicyArn=self.physical_resource_id, PolicyDocument=document, SetAsDefault=True)

    def remove(self) -> None:
        iam = self.aws("iam")
        for role in self.properties.get("Roles", []):
            iam.detach_role_policy(RoleName=role, PolicyArn=self.physical_resource_id)
        iam.delete_policy(PolicyArn=self.physical_resource_id)


class LogGroup(Resource):
    type_name = "AWS::Logs::LogGroup"
    name_property = "LogGroupName"
    name_limit = 512
    attribute_names = ("Arn",)

    def create(self) -> None:
        self.aws("logs").create_log_group(logGroupName=self.name, tags=tag_map(self.properties))
        arn = f"arn:aws:logs:{self.cloud.settings.region}:{ACCOUNT_ID}:log-group:{self.name}:*"
        self.attributes = {"Arn": arn}
        self.update()

    def update(self) -> None:
        if "RetentionInDays" in self.properties:
            days = int(self.properties["RetentionInDays"])
            self.aws("logs").put_retention_policy(logGroupName=self.name, retentionInDays=days)
        elif "RetentionInDays" in self.previous:
            self.aws("logs").delete_retention_policy(logGroupName=self.name)

    def remove(self) -> None:
        self.aws("logs").delete_log_group(logGroupName=self.name)


class Alarm(Resource):
    type_name = "AWS::CloudWatch::Alarm"
    name_property = "AlarmName"
    name_limit = 255
    attribute_names = ("Arn",)
    _texts = (
        "AlarmDescription",
        "ComparisonOperator",
        "Dimensions",
        "ExtendedStatistic",
        "MetricName",
        "Metrics",
        "Namespace",
        "Statistic",
        "TreatMissingData",
        "Unit",
        "AlarmActions",
        "OKActions",
        "InsufficientDataActions",
    )

    def create(self) -> None:
        self.update()
        arn = f"arn:aws:cloudwatch:{self.cloud.settings.region}:{ACCOUNT_ID}:alarm:{self.name}"
        self.attributes = {"Arn": arn}

    def update(self) -> None:
        arguments = self.pick(*self._texts)
        for name in ("EvaluationPeriods", "DatapointsToAlarm", "Period"):
            if name in self.properties:
                arguments[name] = int(self.properties[name])
        if "Threshold" in self.properties:
            arguments["Threshold"] = float(self.properties["Threshold"])
        arguments["ActionsEnabled"] = as_flag(self.properties.get("ActionsEnabled", True))
        self.aws("cloudwatch").put_metric_alarm(AlarmName=self.name, **arguments)

    def remove(self) -> None:
        self.aws("cloudwatch").delete_alarms(AlarmNames=[self.name])


class ModelPackageGroup(Resource):
    type_name = "AWS::SageMaker::ModelPackageGroup"
    name_property = "ModelPackageGroupName"
    name_limit = 63
    attribute_names = ("ModelPackageGroupArn",)
    replaces = ("ModelPackageGroupDescription",)

    def create(self) -> None:
        tags = [{"Key": key, "Value": value} for key, value in tag_map(self.properties).items()]
        created = self.aws("sagemaker").create_model_package_group(
            ModelPackageGroupName=self.name, Tags=tags, **self.pick("ModelPackageGroupDescription")
        )
        self.physical_resource_id = created["ModelPackageGroupArn"]
        self.attributes = {"ModelPackageGroupArn": created["ModelPackageGroupArn"]}

    def update(self) -> None:
        """A group is its name, its description and its tags."""

    def remove(self) -> None:
        self.aws("sagemaker").delete_model_package_group(ModelPackageGroupName=self.name)


def _document(policy: dict[str, Any]) -> str:
    """SAM writes policies without a version, which AWS takes and moto does not."""
    return json.dumps({"Version": "2012-10-17", **policy})
