"""The Resource Groups Tagging API finds models, endpoint configurations and endpoints; moto's knows none of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from moto.core.responses import ActionResult
from moto.resourcegroupstaggingapi import responses

from local.adapters.sagemaker_actions import backend
from local.cloud import Cloud, UnsupportedError, require

_Response = require(responses, "ResourceGroupsTaggingAPIResponse")
require(_Response, "get_resources")
_HOLDERS = {"model": "_models", "endpoint-config": "endpoint_configs", "endpoint": "endpoints"}
LARGEST_PAGE = 100


def install(cloud: Cloud) -> None:
    def get_resources(self: Any) -> ActionResult:
        wanted = self._get_param("ResourceTypeFilters", [])
        kinds = [kind.removeprefix("sagemaker:") for kind in wanted]
        if not kinds or not set(kinds) <= set(_HOLDERS):
            raise UnsupportedError(f"resources of the types {wanted} are not found by their tags")
        found = list(_found(cloud, kinds, self._get_param("TagFilters", [])))
        start = int(self._get_param("PaginationToken") or 0)
        end = start + self._get_int_param("ResourcesPerPage", LARGEST_PAGE)
        more = str(end) if end < len(found) else ""
        return ActionResult({"ResourceTagMappingList": found[start:end], "PaginationToken": more})

    _Response.get_resources = get_resources


def _found(cloud: Cloud, kinds: list[str], filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for kind in kinds:
        for resource in list(getattr(backend(cloud), _HOLDERS[kind]).values()):
            tags = {tag["Key"]: tag["Value"] for tag in resource.tags or []}
            if all(_takes(item, tags) for item in filters):
                pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
                yield {"ResourceARN": str(resource.arn), "Tags": pairs}


def _takes(wanted: dict[str, Any], tags: dict[str, str]) -> bool:
    return wanted["Key"] in tags and (not wanted.get("Values") or tags[wanted["Key"]] in wanted["Values"])
