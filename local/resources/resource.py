"""What one resource of a stack is, in the form in which moto's CloudFormation keeps it.

moto's own types drop properties silently, replace where AWS updates in place, and put state machines into a backend
that executes nothing. Ours go through the services' own APIs, one call for each property, so that what a template says
is really there; an update calls the same APIs again.
"""

from __future__ import annotations

import secrets
from typing import Any, ClassVar

from botocore.exceptions import ClientError
from moto.cloudformation.exceptions import UnformattedGetAttTemplateException, ValidationError

from local.clients import client
from local.cloud import Cloud, LocalCloudError, UnsupportedError

_SUFFIX_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


class Resource:
    """A resource; subclasses fill in `create`, `update` and `remove`.

    Attributes:
        type_name: CloudFormation's name of the type.
        name_property: the property that names the resource; '' when it has none.
        name_limit: longest name that AWS makes up.
        attribute_names: what Fn::GetAtt may ask for.
        type_in_template: as the template writes it, where several are carried out as one.
        previous: the properties before an update; empty while the resource is created.
        replaces: properties whose change would make AWS replace the resource, which is not carried out.
        physical_resource_id: what Ref gives; set by `create`.
        attributes: what Fn::GetAtt gives; set by `create`.
    """

    type_name: ClassVar[str] = ""
    name_property: ClassVar[str] = ""
    name_limit: ClassVar[int] = 64
    attribute_names: ClassVar[tuple[str, ...]] = ()
    replaces: ClassVar[tuple[str, ...]] = ()
    cloud: ClassVar[Cloud]

    def __init__(self, name: str, logical_id: str, properties: dict[str, Any]) -> None:
        self.name = name
        self.logical_resource_id = logical_id
        self.cf_resource_type = self.type = self.type_in_template = self.type_name
        self.properties = properties
        self.previous: dict[str, Any] = {}
        self.physical_resource_id = name
        self.attributes: dict[str, str] = {}

    def create(self) -> None:
        """Make the resource from `self.properties`."""
        raise NotImplementedError

    def update(self) -> None:
        """Bring the resource from the properties in `self.previous` to those in `self.properties`."""
        raise NotImplementedError

    def remove(self) -> None:
        """Delete the resource."""
        raise NotImplementedError

    def aws(self, service: str) -> Any:
        """Return a client of `service` in this cloud."""
        return client(self.cloud.settings, service)

    def pick(self, *names: str) -> dict[str, Any]:
        """Return those of the properties that are set, for an API that calls them the same."""
        return {name: self.properties[name] for name in names if name in self.properties}

    @classmethod
    def generated_name(cls, stack: str, logical_id: str) -> str:
        """Return a name as CloudFormation makes it up: stack, logical id and a random end."""
        end = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(12))
        head = f"{stack}-{logical_id}"[: cls.name_limit - len(end) - 1].rstrip("-")
        return f"{head}-{end}"

    # What moto calls.

    @classmethod
    def cloudformation_type(cls) -> str:
        return cls.type_name

    @classmethod
    def cloudformation_name_type(cls) -> str:
        return cls.name_property

    @classmethod
    def has_cfn_attr(cls, attr: str) -> bool:
        return attr in cls.attribute_names

    def get_cfn_attribute(self, attribute_name: str) -> str:
        if attribute_name not in self.attributes:
            raise UnformattedGetAttTemplateException
        return self.attributes[attribute_name]

    def is_created(self) -> bool:
        return True

    @classmethod
    def create_from_cloudformation_json(
        cls, resource_name: str, cloudformation_json: dict[str, Any], _account_id: str, _region_name: str, **kwargs: Any
    ) -> Resource:
        resource = cls(resource_name, kwargs["LogicalId"], without_nothing(cloudformation_json["Properties"]))
        resource.type_in_template = cloudformation_json.get("Type", cls.type_name)
        resource._carry_out(resource.create)
        return resource

    @classmethod
    def update_from_cloudformation_json(
        cls,
        original_resource: Resource,
        new_resource_name: str,  # noqa: ARG003 - the name stays
        cloudformation_json: dict[str, Any],
        account_id: str,  # noqa: ARG003
        region_name: str,  # noqa: ARG003
    ) -> Resource:
        resource = original_resource
        previous, wanted = resource.properties, without_nothing(cloudformation_json["Properties"])
        if previous == wanted:
            return resource
        for name in (cls.name_property, *cls.replaces):
            if name and previous.get(name) != wanted.get(name):
                raise UnsupportedError(
                    f"{resource.logical_resource_id} ({cls.type_name}): a new {name} replaces the resource, which an "
                    "update does not carry out; reset the local cloud and deploy again"
                )
        resource.previous, resource.properties = previous, wanted
        try:
            resource._carry_out(resource.update)
        except Exception:  # whatever it raises, and it goes on: the next update must see that this one is still to do
            resource.properties = previous
            raise
        return resource

    @classmethod
    def delete_from_cloudformation_json(cls, *_: Any) -> None:
        raise UnsupportedError(f"{cls.type_name} is deleted through its resource")

    def delete(self, _account_id: str, _region_name: str) -> None:
        self._carry_out(self.remove)

    def _carry_out(self, work: Any) -> None:
        try:
            work()
        except (ClientError, LocalCloudError) as error:
            raise ValidationError(message=f"{self.logical_resource_id} ({self.type_name}): {error}") from error


def without_nothing(value: Any) -> Any:
    """Drop what `AWS::NoValue` left behind; moto leaves None in lists."""
    if isinstance(value, dict):
        return {key: without_nothing(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nothing(item) for item in value if item is not None]
    return value


def as_flag(value: Any) -> bool:
    """Read a CloudFormation boolean, which may be text."""
    return value is True or str(value).lower() == "true"


def as_text(value: Any) -> str:
    """Write a value as CloudFormation does where an API wants text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def tag_map(properties: dict[str, Any]) -> dict[str, str]:
    """Return the property Tags, a list of {Key, Value} or a map, as a map of text."""
    tags = properties.get("Tags", {})
    pairs = tags.items() if isinstance(tags, dict) else ((tag["Key"], tag["Value"]) for tag in tags)
    return {str(key): str(value) for key, value in pairs}
