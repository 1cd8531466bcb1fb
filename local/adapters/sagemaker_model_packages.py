"""The model registry: SageMaker's limits, metadata that is merged and not replaced, deletion, state-change events."""

from __future__ import annotations

import json
import threading
from typing import Any

from moto.sagemaker import models

from local.adapters import sagemaker_events
from local.adapters.sagemaker_actions import ConflictError, Request, answer, backend, invalid
from local.cloud import Cloud, require

ModelPackage = require(models, "ModelPackage")
_described = require(ModelPackage, "gen_response_object")
MOST_METADATA = 50
LONGEST_KEY = 128
LONGEST_VALUE = 256
LONGEST_DESCRIPTION = 1024
LONGEST_CARD = 100_000
LARGEST_BATCH = 100
# "Model package model card schema" in the SageMaker Developer Guide; what stands in a section is not checked here.
_CARD_SECTIONS = {
    "model_overview",
    "intended_uses",
    "business_details",
    "training_details",
    "evaluation_details",
    "additional_information",
}
_SUMMARISED = (
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "InferenceSpecification",
    "ModelPackageStatus",
    "ModelApprovalStatus",
)
_KEPT = ("SourceUri", "ModelCard", "SkipModelValidation")
_CREATED_FROM = {
    "ModelPackageDescription": "model_package_description",
    "InferenceSpecification": "inference_specification",
    "ValidationSpecification": "validation_specification",
    "SourceAlgorithmSpecification": "source_algorithm_specification",
    "CertifyForMarketplace": "certify_for_marketplace",
    "Tags": "tags",
    "ModelApprovalStatus": "model_approval_status",
    "MetadataProperties": "metadata_properties",
    "ModelMetrics": "model_metrics",
    "ClientToken": "client_token",
    "CustomerMetadataProperties": "customer_metadata_properties",
    "DriftCheckBaselines": "drift_check_baselines",
    "Domain": "domain",
    "Task": "task",
    "SamplePayloadUrl": "sample_payload_url",
    "AdditionalInferenceSpecifications": "additional_inference_specifications",
}


def install(cloud: Cloud) -> None:
    registry = Registry(cloud)
    answer("create_model_package_group", registry.create_group)
    answer("delete_model_package_group", registry.delete_group, missing_in_moto=True)
    answer("create_model_package", registry.create)
    answer("update_model_package", registry.update)
    answer("batch_describe_model_package", registry.batch_describe, missing_in_moto=True)
    answer("delete_model_package", registry.delete, missing_in_moto=True)

    def described(self: Any) -> dict[str, Any]:
        """What moto forgets of a package is described too."""
        return {**_described(self), **getattr(self, "kept", {})}

    ModelPackage.gen_response_object = described


class Registry:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._versions: dict[str, int] = {}
        self._lock = threading.Lock()

    def create_group(self, request: Request) -> dict[str, Any]:
        state, name = backend(self._cloud), request["ModelPackageGroupName"]
        with self._lock:
            if name in state.model_package_groups:
                arn = state.model_package_groups[name].arn
                raise invalid(f"Model Package Group already exists: {arn}")
            arn = state.create_model_package_group(
                model_package_group_name=name,
                model_package_group_description=request.get("ModelPackageGroupDescription"),
                tags=request.get("Tags"),
            )
            self._versions[name] = 0
        return {"ModelPackageGroupArn": arn}

    def delete_group(self, request: Request) -> dict[str, Any]:
        state, name = backend(self._cloud), request["ModelPackageGroupName"].rpartition("/")[2]
        with self._lock:
            group = state.describe_model_package_group(name)
            if any(package.model_package_group_name == name for package in state.model_packages.values()):
                raise ConflictError(f"Cannot delete model package group {group.arn}: it still holds model packages")
            del state.model_package_groups[name]
        return {}

    def create(self, request: Request) -> dict[str, Any]:
        state = backend(self._cloud)
        group = str(request["ModelPackageGroupName"]).rpartition("/")[2]
        _check_metadata(request.get("CustomerMetadataProperties", {}))
        _check_card(request.get("ModelCard", {}).get("ModelCardContent"))
        token = request.get("ClientToken")
        with self._lock:
            for package in state.model_packages.values():
                if token and package.client_token == token:
                    return {"ModelPackageArn": package.arn}
            if group not in state.model_package_groups:
                raise invalid(f"Model Package Group {group} does not exist.")
            # A version is never given out again, though moto counts what is left after a deletion.
            version = self._versions[group] = self._versions.get(group, 0) + 1
            given = {name: request.get(key) for key, name in _CREATED_FROM.items()}
            given["model_approval_status"] = given["model_approval_status"] or "PendingManualApproval"
            given["certify_for_marketplace"] = bool(given["certify_for_marketplace"])
            package = ModelPackage(
                model_package_name=group,
                model_package_group_name=group,
                model_package_version=version,
                approval_description=None,
                region_name=state.region_name,
                account_id=state.account_id,
                model_package_type="Versioned",
                **given,
            )
            package.kept = {key: given for key in _KEPT if (given := request.get(key)) is not None}
            state.model_packages[package.arn] = package
            state.model_package_name_mapping[package.arn] = package.arn
        sagemaker_events.model_package_changed(self._cloud, package, [])
        return {"ModelPackageArn": package.arn}

    def update(self, request: Request) -> dict[str, Any]:
        package = self._find(request["ModelPackageArn"])
        status, description = request.get("ModelApprovalStatus"), request.get("ApprovalDescription")
        if description and len(description) > LONGEST_DESCRIPTION:
            raise invalid(f"ApprovalDescription must not be longer than {LONGEST_DESCRIPTION} characters")
        with self._lock:
            metadata = {**(package.customer_metadata_properties or {}), **request.get("CustomerMetadataProperties", {})}
            for key in request.get("CustomerMetadataPropertiesToRemove", []):
                metadata.pop(key, None)
            _check_metadata(metadata)
            before = _updatable(package)
            if status:
                package.set_model_approval_status(status)
            if description is not None:
                package.approval_description = description
            package.customer_metadata_properties = metadata or None
            more = request.get("AdditionalInferenceSpecificationsToAdd")
            if more:
                package.add_additional_inference_specifications(more)
            package.modifications_done()
            after = _updatable(package)
        changed = [field for field, value in after.items() if value != before[field]]
        if changed:
            sagemaker_events.model_package_changed(self._cloud, package, changed)
        return {"ModelPackageArn": package.arn}

    def batch_describe(self, request: Request) -> dict[str, Any]:
        found: dict[str, Any] = {}
        missing: dict[str, Any] = {}
        arns = request["ModelPackageArnList"]
        if not 1 <= len(arns) <= LARGEST_BATCH:
            raise invalid(f"ModelPackageArnList must have 1 to {LARGEST_BATCH} members, not {len(arns)}")
        for arn in arns:
            package = backend(self._cloud).model_packages.get(arn)
            if package is None:
                message = f"ModelPackage {arn} does not exist."
                missing[arn] = {"ErrorCode": "ValidationException", "ErrorResponse": message}
            else:
                described = package.gen_response_object()
                found[arn] = {key: described[key] for key in _SUMMARISED if described.get(key) is not None}
        return {"ModelPackageSummaries": found, "BatchDescribeModelPackageErrorMap": missing}

    def delete(self, request: Request) -> dict[str, Any]:
        package = self._find(request["ModelPackageName"])
        with self._lock:
            state = backend(self._cloud)
            state.model_packages.pop(package.arn, None)
            state.model_package_name_mapping.pop(package.arn, None)
        return {}

    def _find(self, arn: str) -> Any:
        package = backend(self._cloud).model_packages.get(arn)
        if package is None:
            raise invalid(f"ModelPackage {arn} does not exist.")
        return package


def _updatable(package: Any) -> dict[str, Any]:
    return {
        "ModelApprovalStatus": package.model_approval_status,
        "ApprovalDescription": package.approval_description,
        "CustomerMetadataProperties": dict(package.customer_metadata_properties or {}),
        "AdditionalInferenceSpecifications": list(package.additional_inference_specifications or []),
    }


def _check_metadata(metadata: dict[str, str]) -> None:
    if len(metadata) > MOST_METADATA:
        raise invalid(f"CustomerMetadataProperties may hold {MOST_METADATA} pairs, not {len(metadata)}")
    for key, value in metadata.items():
        if not 1 <= len(key) <= LONGEST_KEY:
            raise invalid(f"Key {key!r} of CustomerMetadataProperties must have 1 to {LONGEST_KEY} characters")
        if not 1 <= len(value) <= LONGEST_VALUE:
            raise invalid(f"Value of {key!r} in CustomerMetadataProperties must have 1 to {LONGEST_VALUE} characters")


def _check_card(content: str | None) -> None:
    if content is None:
        return
    if len(content) > LONGEST_CARD:
        raise invalid(f"ModelCardContent must not be longer than {LONGEST_CARD} characters")
    try:
        card = json.loads(content)
    except json.JSONDecodeError as error:
        raise invalid(f"ModelCardContent is not JSON: {error}") from error
    if unknown := sorted(set(card) - _CARD_SECTIONS):
        raise invalid(f"ModelCardContent has no section {', '.join(unknown)}")
