"""Buckets and tables."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from local.cloud import UnsupportedError
from local.resources.resource import Resource, as_flag, tag_map


class Bucket(Resource):
    type_name = "AWS::S3::Bucket"
    name_property = "BucketName"
    name_limit = 63
    attribute_names = ("Arn", "DomainName", "RegionalDomainName")

    @classmethod
    def generated_name(cls, stack: str, logical_id: str) -> str:
        return super().generated_name(stack, logical_id).lower()

    def create(self) -> None:
        region = self.cloud.settings.region
        self.aws("s3").create_bucket(Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": region})
        self.attributes = {
            "Arn": f"arn:aws:s3:::{self.name}",
            "DomainName": f"{self.name}.s3.amazonaws.com",
            "RegionalDomainName": f"{self.name}.s3.{region}.amazonaws.com",
        }
        self.update()

    def update(self) -> None:
        s3, wanted = self.aws("s3"), self.properties
        if "VersioningConfiguration" in wanted:
            s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration=wanted["VersioningConfiguration"])
        elif "VersioningConfiguration" in self.previous:
            s3.put_bucket_versioning(Bucket=self.name, VersioningConfiguration={"Status": "Suspended"})
        bridge = wanted.get("NotificationConfiguration", {}).get("EventBridgeConfiguration")
        listening = bridge is not None and as_flag(bridge.get("EventBridgeEnabled", True))
        s3.put_bucket_notification_configuration(
            Bucket=self.name,
            NotificationConfiguration={"EventBridgeConfiguration": {}} if listening else {},
        )
        if "PublicAccessBlockConfiguration" in wanted:
            block = {name: as_flag(value) for name, value in wanted["PublicAccessBlockConfiguration"].items()}
            s3.put_public_access_block(Bucket=self.name, PublicAccessBlockConfiguration=block)
        if "BucketEncryption" in wanted:
            rules = [_encryption_rule(rule) for rule in wanted["BucketEncryption"]["ServerSideEncryptionConfiguration"]]
            s3.put_bucket_encryption(Bucket=self.name, ServerSideEncryptionConfiguration={"Rules": rules})
        if "LifecycleConfiguration" in wanted:
            lifecycle = [_lifecycle_rule(rule) for rule in wanted["LifecycleConfiguration"]["Rules"]]
            s3.put_bucket_lifecycle_configuration(Bucket=self.name, LifecycleConfiguration={"Rules": lifecycle})
        if "OwnershipControls" in wanted:
            s3.put_bucket_ownership_controls(Bucket=self.name, OwnershipControls=wanted["OwnershipControls"])
        if tags := tag_map(wanted):
            tag_set = [{"Key": key, "Value": value} for key, value in tags.items()]
            s3.put_bucket_tagging(Bucket=self.name, Tagging={"TagSet": tag_set})

    def remove(self) -> None:
        self.aws("s3").delete_bucket(Bucket=self.name)


class BucketPolicy(Resource):
    type_name = "AWS::S3::BucketPolicy"
    replaces = ("Bucket",)

    def create(self) -> None:
        self.update()

    def update(self) -> None:
        policy = json.dumps(self.properties["PolicyDocument"])
        self.aws("s3").put_bucket_policy(Bucket=self.properties["Bucket"], Policy=policy)

    def remove(self) -> None:
        self.aws("s3").delete_bucket_policy(Bucket=self.properties["Bucket"])


class Table(Resource):
    type_name = "AWS::DynamoDB::Table"
    name_property = "TableName"
    name_limit = 255
    attribute_names = ("Arn",)
    replaces = ("KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "LocalSecondaryIndexes")

    def create(self) -> None:
        arguments = self.pick(
            "AttributeDefinitions",
            "KeySchema",
            "BillingMode",
            "ProvisionedThroughput",
            "GlobalSecondaryIndexes",
            "LocalSecondaryIndexes",
            "TableClass",
        )
        arguments["DeletionProtectionEnabled"] = as_flag(self.properties.get("DeletionProtectionEnabled", False))
        if encryption := self.properties.get("SSESpecification"):
            others = {name: value for name, value in encryption.items() if name != "SSEEnabled"}
            arguments["SSESpecification"] = {"Enabled": as_flag(encryption["SSEEnabled"]), **others}
        if tags := tag_map(self.properties):
            arguments["Tags"] = [{"Key": key, "Value": value} for key, value in tags.items()]
        described = self.aws("dynamodb").create_table(TableName=self.name, **arguments)
        self.attributes = {"Arn": described["TableDescription"]["TableArn"]}
        self.update()

    def update(self) -> None:
        dynamodb, wanted = self.aws("dynamodb"), self.properties
        ttl = wanted.get("TimeToLiveSpecification")
        before = self.previous.get("TimeToLiveSpecification")
        if before and not ttl:
            ttl = {**before, "Enabled": False}
        if ttl and ttl != before:
            specification = {"Enabled": as_flag(ttl["Enabled"]), "AttributeName": ttl["AttributeName"]}
            dynamodb.update_time_to_live(TableName=self.name, TimeToLiveSpecification=specification)
        if recovery := wanted.get("PointInTimeRecoverySpecification"):
            enabled = {"PointInTimeRecoveryEnabled": as_flag(recovery["PointInTimeRecoveryEnabled"])}
            dynamodb.update_continuous_backups(TableName=self.name, PointInTimeRecoverySpecification=enabled)
        if self.previous:
            protected = as_flag(wanted.get("DeletionProtectionEnabled", False))
            dynamodb.update_table(TableName=self.name, DeletionProtectionEnabled=protected)

    def remove(self) -> None:
        try:
            self.aws("dynamodb").delete_table(TableName=self.name)
        except ClientError as error:
            raise UnsupportedError(f"table {self.name} cannot be deleted: {error}") from error


def _encryption_rule(rule: dict[str, Any]) -> dict[str, Any]:
    return {
        "ApplyServerSideEncryptionByDefault": rule["ServerSideEncryptionByDefault"],
        "BucketKeyEnabled": as_flag(rule.get("BucketKeyEnabled", False)),
    }


def _lifecycle_rule(rule: dict[str, Any]) -> dict[str, Any]:
    """CloudFormation's flat rule in the shape of PutBucketLifecycleConfiguration."""
    expiration: dict[str, Any] = {}
    if "ExpirationInDays" in rule:
        expiration["Days"] = int(rule["ExpirationInDays"])
    if "ExpiredObjectDeleteMarker" in rule:
        expiration["ExpiredObjectDeleteMarker"] = as_flag(rule["ExpiredObjectDeleteMarker"])
    converted: dict[str, Any] = {"Status": rule["Status"], "Filter": {"Prefix": rule.get("Prefix", "")}}
    if "Id" in rule:
        converted["ID"] = rule["Id"]
    if expiration:
        converted["Expiration"] = expiration
    if "NoncurrentVersionExpiration" in rule:
        converted["NoncurrentVersionExpiration"] = {
            name: int(value) for name, value in rule["NoncurrentVersionExpiration"].items()
        }
    if "AbortIncompleteMultipartUpload" in rule:
        days = int(rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"])
        converted["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    if "Transitions" in rule:
        converted["Transitions"] = [
            {"Days": int(transition["TransitionInDays"]), "StorageClass": transition["StorageClass"]}
            for transition in rule["Transitions"]
        ]
    return converted
