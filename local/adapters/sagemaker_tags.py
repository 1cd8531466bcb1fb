"""Tags: a key has one value, and a resource that is not there is AWS's error."""

from __future__ import annotations

from typing import Any

from local.adapters.sagemaker_actions import Request, answer, backend, invalid
from local.cloud import Cloud

_HOLDERS = {
    "model": "_models",
    "endpoint": "endpoints",
    "endpoint-config": "endpoint_configs",
    "pipeline": "pipelines",
    "model-package-group": "model_package_groups",
    "training-job": "training_jobs",
}


def install(cloud: Cloud) -> None:
    tags = Tags(cloud)
    answer("add_tags", tags.add)
    answer("list_tags", tags.list_tags)
    answer("delete_tags", tags.delete)


class Tags:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def add(self, request: Request) -> dict[str, Any]:
        resource = self._find(request["ResourceArn"])
        kept = {tag["Key"]: tag["Value"] for tag in resource.tags or []}
        kept |= {tag["Key"]: tag["Value"] for tag in request["Tags"]}
        resource.tags = _as_list(kept)
        return {"Tags": resource.tags}

    def list_tags(self, request: Request) -> dict[str, Any]:
        page, more = request.page(self._find(request["ResourceArn"]).tags or [])
        return {"Tags": page, **more}

    def delete(self, request: Request) -> dict[str, Any]:
        resource = self._find(request["ResourceArn"])
        gone = set(request["TagKeys"])
        resource.tags = [tag for tag in resource.tags or [] if tag["Key"] not in gone]
        return {}

    def _find(self, arn: str) -> Any:
        state = backend(self._cloud)
        kind, _, name = arn.rpartition(":")[2].partition("/")
        if kind == "model-package":
            found = state.model_packages.get(arn)
        elif kind in ("model", "endpoint", "endpoint-config"):
            # Their ARNs have the name in lower case.
            found = next((item for item in list(getattr(state, _HOLDERS[kind]).values()) if item.arn == arn), None)
        elif kind in _HOLDERS:
            found = getattr(state, _HOLDERS[kind]).get(name)
        else:
            raise invalid(f"The local cloud does not tag resources of type {kind!r}")
        if found is None:
            raise invalid(f"Could not find {kind} '{arn}'.")
        return found


def _as_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
