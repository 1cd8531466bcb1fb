"""The champion of a suite, and everything of it that a gate holds a winner against."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import boto3
from botocore.exceptions import ClientError

from assay.aws.evaluation_files import EvaluationFiles
from assay.aws.faults import code_of, transient_faults
from assay.aws.registry import EVALUATION_PROPERTY
from assay.contracts.catalog import Record
from assay.contracts.config import SuiteConfig
from assay.contracts.errors import ObjectNotFoundError, RejectedError
from assay.contracts.evaluation import EvaluationPaths
from assay.contracts.gate import GateBaseline, GateResult
from assay.contracts.results import Manifest
from assay.decision.gate import Baseline, Catalog, UnusableBaseline, check_gate


@dataclass(frozen=True)
class Champion:
    """The newest approved model package of a suite."""

    arn: str
    group: str
    version: int
    created_at: datetime
    properties: dict[str, str]


class Champions:
    """Finds champions in the registry.

    Args:
        client: a boto3 SageMaker client; one of its own by default.
    """

    def __init__(self, client: Any = None) -> None:
        self._client = client if client is not None else boto3.client("sagemaker")

    @transient_faults()
    def of(self, config: SuiteConfig) -> Champion | None:
        """The champion of a config's suite, None when no package of it is approved.

        It is the newest approved version in any group that the config registers into. A package that names another
        suite is none of this one's; one that names no suite was not registered by Assay and counts, since somebody
        approved it here.
        """
        groups = {config.model_package_group} | {
            model.register_config.model_package_group_name for model in config.models if model.register_config
        }
        found = [champion for group in sorted(groups) if (champion := self._newest(group, config.suite)) is not None]
        return max(found, key=lambda champion: champion.created_at, default=None)

    def _newest(self, group: str, suite: str) -> Champion | None:
        for summary in self._approved(group):
            arn = str(summary["ModelPackageArn"])
            package = self._client.describe_model_package(ModelPackageName=arn)
            properties = package.get("CustomerMetadataProperties", {})
            if properties.get("suite", suite) == suite:
                return Champion(arn, group, package["ModelPackageVersion"], package["CreationTime"], properties)
        return None

    def _approved(self, group: str) -> Iterator[dict[str, Any]]:
        pages = self._client.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=group,
            ModelApprovalStatus="Approved",
            SortBy="CreationTime",
            SortOrder="Descending",
        )
        try:
            for page in pages:
                yield from page["ModelPackageSummaryList"]
        except ClientError as error:
            # The group comes to be with its first package.
            if code_of(error) != "ValidationException" or "does not exist" not in str(error):
                raise


def check_evaluation(files: EvaluationFiles, champions: Champions | None = None) -> GateResult:
    """Hold the winner of an evaluation against its thresholds and its baseline.

    The baseline is the model that the config names, else the champion of the suite.
    """
    config, comparison, manifest = files.config(), files.comparison(), files.manifest()
    baseline: Baseline | UnusableBaseline | None = None
    if config.gate.baseline is not None:
        baseline = model_baseline(config.gate.baseline, config=config, manifest=manifest, files=files)
    elif (champion := (champions or Champions()).of(config)) is not None:
        baseline = champion_baseline(champion, config=config, manifest=manifest, files=files)
    winner = str(comparison.winner)
    return check_gate(
        comparison,
        config=config,
        catalog=read_catalog_facts(files),
        scores=files.scores_of(winner),
        baseline=baseline,
        responses=files.paths.uri(files.paths.responses(winner)),
    )


def read_catalog_facts(files: EvaluationFiles) -> Catalog:
    """Ids, categories and clusters of the records of an evaluation."""
    ids: list[str] = []
    categories: dict[str, str] = {}
    clusters: dict[str, str] = {}
    for record in files.records():
        ids.append(record.id)
        if record.category is not None:
            categories[record.id] = record.category
        if record.cluster is not None:
            clusters[record.id] = record.cluster
    return Catalog(ids, categories, clusters)


def champion_baseline(
    champion: Champion, *, config: SuiteConfig, manifest: Manifest, files: EvaluationFiles
) -> Baseline | UnusableBaseline:
    """What a champion scored, and how its catalog differs from the one of this evaluation.

    Args:
        config, manifest, files: of the evaluation whose winner is held against it.
    """
    version = f"version {champion.version} of {champion.group}"
    advice = "name a model of the config as `gate.baseline`, or reject that version"
    properties = champion.properties
    if not {EVALUATION_PROPERTY, "model", "comparison_uri"} <= set(properties):
        reason = f"it was not registered by Assay, so nothing is known of what it answers; {advice}."
        return UnusableBaseline(f"the champion, {version}", reason)
    name, model = f"the champion {properties['model']} ({version})", properties["model"]
    paths = EvaluationPaths.from_uri(properties["comparison_uri"].rpartition("/")[0])
    theirs = EvaluationFiles(paths)
    try:
        their_config, their_manifest = theirs.config(), theirs.manifest()
        scores = theirs.scores_of(model)
        same = their_manifest.catalog.sha256 == manifest.catalog.sha256 and their_config.dataset == config.dataset
        unlike = frozenset[str]() if same else _unlike(theirs.records(), files.records())
    except ObjectNotFoundError:
        return UnusableBaseline(name, f"what it was evaluated with is no longer at {paths.root}; {advice}.")
    except RejectedError as error:
        return UnusableBaseline(name, f"its config can no longer be read ({error.faults[0]}); {advice}.")
    except ClientError as error:
        if code_of(error) not in ("AccessDenied", "NoSuchBucket"):
            raise
        return UnusableBaseline(name, f"its evaluation at {paths.root} cannot be read; {advice}.")
    if not scores.columns:
        return UnusableBaseline(name, f"it has no scores at {paths.root}; {advice}.")
    return Baseline(
        described=GateBaseline(
            kind="champion",
            model=model,
            evaluation_id=paths.evaluation_id,
            model_package_arn=champion.arn,
            model_package_version=champion.version,
            catalog="same" if same else "changed",
            records=their_manifest.records,
        ),
        scores=scores,
        config=their_config,
        unlike=unlike,
        responses=paths.uri(paths.responses(model)),
    )


def model_baseline(name: str, *, config: SuiteConfig, manifest: Manifest, files: EvaluationFiles) -> Baseline:
    """A model of the same evaluation in the champion's place."""
    paths = files.paths
    return Baseline(
        described=GateBaseline(
            kind="model",
            model=name,
            evaluation_id=paths.evaluation_id,
            model_package_arn=None,
            model_package_version=None,
            catalog="same",
            records=manifest.records,
        ),
        scores=files.scores_of(name),
        config=config,
        responses=paths.uri(paths.responses(name)),
    )


def _unlike(theirs: Iterator[Record], ours: Iterator[Record]) -> frozenset[str]:
    """Ids that stand for something else in the two catalogs: another input, or another expected answer."""
    known = {record.id: _content(record) for record in theirs}
    return frozenset(record.id for record in ours if record.id in known and known[record.id] != _content(record))


def _content(record: Record) -> bytes:
    return hashlib.sha256("\0".join((record.model_input, record.target_output)).encode()).digest()[:16]
