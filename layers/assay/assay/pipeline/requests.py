"""What another pipeline asks for by `EvaluationRequested`: a suite or a config it carries, once, with its own model."""

from __future__ import annotations

import json
from dataclasses import dataclass

from assay.contracts.config import load_config
from assay.contracts.errors import Fault, ModelPackageRefusedError, ObjectNotFoundError, RejectedError
from assay.contracts.evaluation import EvaluationPaths, ObjectVersion, requested_evaluation_id
from assay.contracts.events import RequestEvent
from assay.contracts.model_section import ModelSection
from assay.contracts.request import (
    RequestSection,
    carried_config,
    correlation_of,
    in_carried_config,
    overridden,
    own_id,
    read_request,
)
from assay.pipeline.ports import ModelPackages, Started
from assay.pipeline.refusals import Refusals
from assay.pipeline.start import CheckedConfig, EvaluationStarter, Request
from assay.pipeline.suites import Suites

REQUESTS = "requests/"


@dataclass(frozen=True)
class Requests:
    """Handles requests for evaluations."""

    starter: EvaluationStarter
    suites: Suites
    refusals: Refusals
    packages: ModelPackages

    def handle(self, event: RequestEvent) -> Started:
        """Start what is asked for. Somebody waits for an answer, so whatever is missing is a refusal."""
        request_id = own_id(event.detail) or event.id
        key = f"{REQUESTS}{request_id}.json"
        correlation_id = correlation_of(event.detail)
        try:
            return self._start(event, request_id, key, correlation_id)
        except RejectedError as error:
            cause = ObjectVersion(self.starter.store.bucket, key, None)
            self.refusals.tell(error, cause=cause, correlation_id=correlation_id, key=key)
            return Started(outcome="rejected")

    def _start(self, event: RequestEvent, request_id: str, key: str, correlation_id: str | None) -> Started:
        kept = self._keep(key, event)
        request = read_request(event.detail, key)
        checked = self._config(request, key)
        bucket = self.starter.store.bucket
        current = self.suites.current(checked.catalog_key)
        if current is None:
            place = "suite" if request.suite is not None else "config.dataset.input_data_location"
            raise RejectedError(
                key, [Fault(f"the catalog s3://{bucket}/{checked.catalog_key} is not there", key=place)]
            )
        asked = Request(
            evaluation_id=requested_evaluation_id(bucket, request_id),
            requested_by={"kind": "request", "uri": kept.uri, "source": event.source, "request_id": request_id},
            correlation_id=correlation_id,
        )
        try:
            return self.starter.start(checked, current.version, asked)
        except RejectedError as error:
            if checked.source is not None or error.subject != key:
                raise
            raise in_carried_config(error, lines=False) from error

    def _keep(self, key: str, event: RequestEvent) -> ObjectVersion:
        """Keep the first request of an id as it came.

        Raises:
            RejectedError: the id was given to another request before.
        """
        store = self.starter.store
        body = {"source": event.source, "detail": event.detail}
        # Escaped, so that half a surrogate pair can be kept as well. Of two that come at once, S3 says which was first.
        kept = store.create(key, json.dumps(body, indent=1).encode(), "application/json")
        if not kept and json.loads(store.read(key)) != body:
            message = "names another request, which came earlier; a changed request wants an id of its own"
            raise RejectedError(key, [Fault(message, key="request_id")])
        return ObjectVersion(store.bucket, key, None)

    def _config(self, request: RequestSection, key: str) -> CheckedConfig:
        source, subject = None, key
        if request.suite is not None:
            source = self._source(request.suite, key)
            subject = source.key
            config, text = self.starter.written(source)
        else:
            config, text = carried_config(request.config, key)
        if request.model is not None:
            arn = request.model.model_package_arn
            registered = None if arn is None else self._registered(arn, key)
            config, text = overridden(config, request.model, key, registered)
            subject = key
        try:
            return self.starter.checked(config, text, subject, source=source)
        except RejectedError as error:
            if source is not None:
                raise
            raise in_carried_config(error, lines=isinstance(request.config, str)) from error

    def _registered(self, arn: str, key: str) -> ModelSection:
        """The model of a package, as the evaluation that it won was told to reach it."""

        def refused(message: str) -> RejectedError:
            return RejectedError(key, [Fault(message, key="model.model_package_arn")])

        store = self.starter.store
        try:
            properties = self.packages.properties(arn)
        except ModelPackageRefusedError as error:
            message = f"it cannot be seen from this account and region: {str(error)[:200]}"
            raise refused(message) from error
        if properties is None:
            raise refused("there is no such model package")
        if not {"suite", "evaluation_id", "model"} <= properties.keys():
            raise refused("Assay did not register it; name its endpoint or its weights")
        paths = EvaluationPaths(store.bucket, properties["suite"], properties["evaluation_id"])
        try:
            config = load_config(store.read(paths.config), paths.config)
        except ObjectNotFoundError as error:
            raise refused(f"the evaluation that it won is not there: {paths.root}") from error
        model = config.model(properties["model"])
        if model.finetuning_config is not None:
            raise refused("it was fine-tuned; name its weights, since tuning again would make another model")
        if model.provider == "responses":
            raise refused("its answers lay in a catalog, and there is nobody to ask")
        if model.provider not in ("jumpstart", "huggingface"):
            return model
        # A package is one version, though its config may have asked for the newest.
        return model.model_copy(update={"model_version": properties.get("model_version", model.model_version)})

    def _source(self, suite: str, key: str) -> ObjectVersion:
        """The suite's config as it lies in the bucket now, which was not refused."""
        known = self.suites.book.description(suite)
        current = None if known is None else self.suites.current(known.config_key)
        if current is None:
            raise self._unknown(suite, key)
        checked = self.starter.read(current.version)
        if checked.suite != suite:
            raise self._unknown(suite, key)
        self.suites.ensure_described(checked, current)
        return current.version

    def _unknown(self, suite: str, key: str) -> RejectedError:
        return RejectedError(key, [Fault(f"there is no config of the suite {suite!r}", key="suite")])
