"""The SageMaker Model Registry: winners of evaluations, as model packages that await approval."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.endpoints import OWNER_TAG, SUITE_TAG
from assay.aws.faults import code_of, transient_faults
from assay.aws.model_card import model_card
from assay.aws.package_metadata import decision_properties, metadata_value
from assay.contracts.config import SuiteConfig
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.gate import GateResult
from assay.contracts.results import Comparison, Manifest, Mean
from assay.contracts.served_model import ServedModel

EVALUATION_PROPERTY = "evaluation_id"
OWNER_PROPERTY = "owner"
LONGEST_DESCRIPTION = 1024
# Providers whose models Assay deploys itself, so that it knows what they are made of.
DEPLOYABLE = ("jumpstart", "huggingface")
_NOT_THIS_SPECIFICATION = {"ValidationException", "AccessDenied", "AccessDeniedException"}


@dataclass(frozen=True)
class Registration:
    """A model package to be.

    Attributes:
        group: its group's name; the group is created where it is missing, with `group_description`.
        source_uri: where everything about the model and its evaluation lies.
        metrics_uri: the comparison's URI.
        properties: what a reader of the registry sees beside it: at most 50, values of at most 256 characters. The
            registry adds whose stack registered it.
        requested_at: when the evaluation was asked for; no package of it is older.
        approval_status: `PendingManualApproval`, or `Approved` where the config asks nobody.
        model_card: SageMaker's model card, as JSON.
        served: what the package can be deployed from; None for a model that is only referred to.
    """

    evaluation_id: str
    suite: str
    group: str
    group_description: str
    description: str
    source_uri: str
    metrics_uri: str
    properties: dict[str, str]
    requested_at: datetime
    approval_status: str
    model_card: str
    served: ServedModel | None


def registration(
    comparison: Comparison,
    *,
    config: SuiteConfig,
    manifest: Manifest,
    gate: GateResult | None,
    paths: EvaluationPaths,
    now: datetime,
    served: ServedModel | None = None,
) -> Registration:
    """What to register for a comparison.

    Args:
        now: when a package that nobody is asked about is approved.
        served: what the winner's endpoint served.

    Raises:
        ValueError: the comparison has no winner, or the gate does not let it be registered.
    """
    if comparison.winner is None:
        raise ValueError(f"evaluation {comparison.evaluation_id} has no winner to register")
    if gate is None or not gate.may_register or gate.model != comparison.winner:
        raise ValueError(f"evaluation {comparison.evaluation_id} has not passed its gate")
    section = config.model(comparison.winner)
    group = section.register_config.model_package_group_name if section.register_config else config.model_package_group
    described = config.model_registry.model_package_group_description if config.model_registry else ""
    ranked = next(item for item in comparison.models if item.model == comparison.winner)
    mean = next(item.mean for item in ranked.scores if f"{item.algorithm}.{item.score}" == comparison.metric)
    properties: dict[str, Any] = {
        EVALUATION_PROPERTY: comparison.evaluation_id,
        "suite": comparison.suite,
        "model": comparison.winner,
        "provider": section.provider,
        "model_id": section.model_id,
        "model_version": ranked.outcome.model_version or section.model_version,
        "metric": comparison.metric,
        **_numbers(mean),
        "confidence": comparison.confidence,
        "verdict": comparison.verdict,
        "models_compared": len(comparison.models),
        "catalog_uri": manifest.catalog.uri,
        "catalog_sha256": manifest.catalog.sha256,
        "comparison_uri": paths.uri(paths.comparison),
        "manifest_uri": paths.uri(paths.manifest),
        "report_uri": paths.uri(paths.report),
        "gate": gate.outcome,
        "gate_uri": paths.uri(paths.gate),
        "champion_arn": None if gate.baseline is None else gate.baseline.model_package_arn,
        "champion_verdict": gate.verdict,
        "endpoint_name": ranked.outcome.endpoint_name if section.provider == "endpoint" else None,
    }
    if section.provider not in DEPLOYABLE:
        # What somebody else serves is referred to; what is behind an endpoint is its owner's to register.
        served = None
    properties |= {"deployable": served is not None, "training_job": served.training_job if served else None}
    if served is not None and served.withheld:
        properties["needs_environment"] = " ".join(served.withheld)
    approved = gate.approved_at is not None
    if approved:
        properties |= decision_properties("Approved", f"gate.approve_at_confidence {gate.approved_at:g}", now)
    return Registration(
        evaluation_id=comparison.evaluation_id,
        suite=comparison.suite,
        group=group,
        group_description=described or f"Winners of the evaluations of {comparison.suite}.",
        description=" ".join(comparison.explanation.split())[:LONGEST_DESCRIPTION],
        source_uri=paths.root,
        metrics_uri=paths.uri(paths.comparison),
        properties={key: metadata_value(value) for key, value in properties.items() if value is not None},
        requested_at=manifest.requested_at,
        approval_status="Approved" if approved else "PendingManualApproval",
        model_card=model_card(comparison, config=config, manifest=manifest, gate=gate, paths=paths, served=served),
        served=served,
    )


def inference_specification(served: ServedModel) -> dict[str, Any]:
    """What a package is deployed from, in CreateModelPackage's words."""
    container: dict[str, Any] = {"Image": served.image}
    if served.model_data_url is not None:
        container["ModelDataUrl"] = served.model_data_url
    elif served.model_data_source is not None:
        container["ModelDataSource"] = served.model_data_source
    if served.environment:
        container["Environment"] = served.environment
    found: dict[str, Any] = {
        "Containers": [container],
        "SupportedContentTypes": ["application/json"],
        "SupportedResponseMIMETypes": ["application/json"],
    }
    if served.instance_type is not None:
        found["SupportedRealtimeInferenceInstanceTypes"] = [served.instance_type]
    return found


class ModelRegistry:
    """The model packages of one account and region.

    Args:
        owner: value of the tag `assay:owner` on what this stack creates.
        client: a boto3 SageMaker client; one of its own by default.
    """

    def __init__(self, owner: str, client: Any = None) -> None:
        self._owner = owner
        self._client = client if client is not None else boto3.client("sagemaker")

    @transient_faults()
    def register(self, item: Registration) -> str:
        """Register a model, once an evaluation; the package's ARN.

        Raises:
            TransientError: SageMaker did not do it this time.
        """
        self._ensure_group(item)
        return self._registered(item) or self._create(item)

    def _create(self, item: Registration) -> str:
        if item.served is None:
            return self._created(item, {"SourceUri": item.source_uri}, item.properties, item.evaluation_id)
        try:
            specification = inference_specification(item.served)
            return self._created(item, {"InferenceSpecification": specification}, item.properties, item.evaluation_id)
        except ClientError as error:
            # An image or an artefact that may be served need not be one that may be registered, nor one that this
            # function may look at, as SageMaker does in its name.
            if code_of(error) not in _NOT_THIS_SPECIFICATION:
                raise
            told = {"deployable": "False", "not_deployable_because": metadata_value(error)}
            token = f"{item.evaluation_id}-ref"
            return self._created(item, {"SourceUri": item.source_uri}, {**item.properties, **told}, token)

    def _created(self, item: Registration, what: dict[str, Any], properties: dict[str, str], token: str) -> str:
        # Without an InferenceSpecification a version has a SourceUri in its stead, as the SDK sends it; no account has
        # shown yet that it takes the URI of a folder (docs/adr/0005).
        reply = self._client.create_model_package(
            ModelPackageGroupName=item.group,
            ModelPackageDescription=item.description,
            ModelApprovalStatus=item.approval_status,
            ModelMetrics={
                "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": item.metrics_uri}}
            },
            CustomerMetadataProperties={**properties, OWNER_PROPERTY: metadata_value(self._owner)},
            ModelCard={"ModelCardContent": item.model_card, "ModelCardStatus": "PendingReview"},
            ClientToken=token,
            **what,
        )
        return str(reply["ModelPackageArn"])

    def _registered(self, item: Registration) -> str | None:
        """A client token is remembered for hours only; the package itself is not forgotten."""
        pages = self._client.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=item.group, CreationTimeAfter=item.requested_at
        )
        for page in pages:
            for summary in page["ModelPackageSummaryList"]:
                arn = str(summary["ModelPackageArn"])
                package = self._client.describe_model_package(ModelPackageName=arn)
                if package.get("CustomerMetadataProperties", {}).get(EVALUATION_PROPERTY) == item.evaluation_id:
                    return arn
        return None

    def _ensure_group(self, item: Registration) -> None:
        try:
            self._client.describe_model_package_group(ModelPackageGroupName=item.group)
        except ClientError as error:
            if code_of(error) != "ValidationException":
                raise
        else:
            return
        try:
            self._client.create_model_package_group(
                ModelPackageGroupName=item.group,
                ModelPackageGroupDescription=item.group_description[:LONGEST_DESCRIPTION],
                Tags=[{"Key": OWNER_TAG, "Value": self._owner}, {"Key": SUITE_TAG, "Value": item.suite}],
            )
        except ClientError as error:
            # Another evaluation was quicker.
            if code_of(error) != "ValidationException" or "already exists" not in str(error):
                raise


def _numbers(mean: Mean) -> dict[str, Any]:
    return {
        "metric_value": mean.value,
        "metric_low": mean.low,
        "metric_high": mean.high,
        "metric_records": mean.n,
        "metric_records_failed": mean.failed,
    }
