"""Deploys the project's own template into the local cloud: package, translate, check, create or update.

The template is the one that `sam build` wrote, so that a handler has only its artefact, its layers and boto3.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError
from samtranslator.internal.managed_policies import get_bundled_managed_policy_map
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.utils.py27hash_fix import to_py27_compatible_template, undo_mark_unicode_str_in_template
from samtranslator.yaml_helper import yaml_parse

from local import artefacts
from local.clients import client, session
from local.cloud import LocalCloudError, Settings, UnsupportedError
from local.supported import check_template

# Where a template names a local file or folder, by resource type: what `sam package` would upload.
_LOCAL_PATHS = {
    "AWS::Serverless::Function": ("CodeUri", ("Bucket", "Key")),
    "AWS::Serverless::LayerVersion": ("ContentUri", ("Bucket", "Key")),
    "AWS::Serverless::StateMachine": ("DefinitionUri", ("Bucket", "Key")),
    "AWS::Lambda::Function": ("Code", ("S3Bucket", "S3Key")),
    "AWS::Lambda::LayerVersion": ("Content", ("S3Bucket", "S3Key")),
    "AWS::StepFunctions::StateMachine": ("DefinitionS3Location", ("Bucket", "Key")),
}

_PARAMETER_TYPES = {"String", "Number", "CommaDelimitedList", "List<Number>"}


def deploy(
    settings: Settings,
    template: Path | None = None,
    stack: str = "assay",
    parameters: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Deploy a template (the built one unless given) as `stack` and return its outputs.

    Raises:
        UnsupportedError: the template asks for something that the local cloud does not carry out.
        LocalCloudError: the template or a resource is wrong; the message names it.
    """
    path = template or require_build(settings.project)
    if not path.exists():
        raise LocalCloudError(f"{path} does not exist")
    source = yaml_parse(path.read_text(encoding="utf-8"))
    values = resolve_parameters(source, parameters or {})
    packaged = package(source, path.parent, settings.home)
    translated = translate(packaged, values, settings.region)
    check_template(translated)
    return _apply(settings, stack, translated, values)


def require_build(project: Path) -> Path:
    """Return the template that `sam build` made of a project's.

    Raises:
        LocalCloudError: there is none yet.
    """
    path = project / ".aws-sam/build/template.yaml"
    if not path.exists():
        raise LocalCloudError(f"{path} does not exist: `make build` makes it (sam build)")
    return path


def resolve_parameters(template: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    """Return a value for every parameter of the template, as text, checked as CloudFormation checks it.

    Raises:
        LocalCloudError: a parameter without value, an unknown one, or a value that is not allowed.
        UnsupportedError: a parameter is of a type whose values AWS would look up.
    """
    declared = template.get("Parameters", {})
    unknown = sorted(set(given) - set(declared))
    if unknown:
        raise LocalCloudError(f"the template has no parameter {', '.join(unknown)}")
    values = {}
    for name, declaration in declared.items():
        if declaration["Type"] not in _PARAMETER_TYPES:
            raise UnsupportedError(
                f"parameter {name}: type {declaration['Type']} is not carried out by the local cloud"
            )
        if name not in given and "Default" not in declaration:
            raise LocalCloudError(f"parameter {name} has no value")
        value = _text(given.get(name, declaration.get("Default")))
        if fault := _parameter_fault(declaration, value):
            raise LocalCloudError(f"parameter {name}: {value!r} {fault}")
        values[name] = value
    return values


def _parameter_fault(declaration: Mapping[str, Any], value: str) -> str | None:
    allowed = [_text(choice) for choice in declaration.get("AllowedValues", [value])]
    if value not in allowed:
        return f"is none of {', '.join(allowed)}"
    if not re.fullmatch(declaration.get("AllowedPattern", ".*"), value, re.DOTALL):
        return f"does not match {declaration['AllowedPattern']}"
    amount, what, least, most = float(len(value)), "characters", "MinLength", "MaxLength"
    if declaration["Type"] == "Number":
        what, least, most = "as its value", "MinValue", "MaxValue"
        try:
            amount = float(value)
        except ValueError:
            return "is not a number"
    low, high = float(declaration.get(least, "-inf")), float(declaration.get(most, "inf"))
    return None if low <= amount <= high else f"must have {low:g} to {high:g} {what}"


def _text(value: Any) -> str:
    """A value of the template as CloudFormation hands it on: YAML's booleans in lower case."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def package(template: Mapping[str, Any], folder: Path, home: Path) -> dict[str, Any]:
    """Return the template with every local path replaced by an artefact, which is kept below `home`."""
    packaged: dict[str, Any] = copy.deepcopy(dict(template))
    for resource in packaged.get("Resources", {}).values():
        name, keys = _LOCAL_PATHS.get(resource.get("Type"), ("", ("", "")))
        location = resource.get("Properties", {}).get(name)
        if isinstance(location, str) and not location.startswith("s3://"):
            artefact = artefacts.store(home, folder / location)
            resource["Properties"][name] = dict(zip(keys, (artefacts.BUCKET, artefact), strict=True))
    return packaged


def translate(template: dict[str, Any], parameters: dict[str, str], region: str) -> dict[str, Any]:
    """Return the CloudFormation template that SAM makes of `template`, without asking AWS anything.

    Raises:
        LocalCloudError: SAM refuses the template; the message has every reason.
    """
    if "Transform" not in template:
        return template
    to_py27_compatible_template(template, parameters)
    translator = Translator(None, Parser(), boto_session=session(region))
    try:
        translated = translator.translate(
            template, dict(parameters), get_managed_policy_map=lambda: get_bundled_managed_policy_map("aws") or {}
        )
    except InvalidDocumentException as error:
        reasons = "\n".join(cause.message for cause in error.causes)
        raise LocalCloudError(f"SAM refuses the template:\n{reasons}") from error
    finally:
        translator.metrics.publish()  # to nobody; it would complain when it is collected with something unpublished
    plain: dict[str, Any] = json.loads(json.dumps(undo_mark_unicode_str_in_template(translated), default=str))
    return plain


def _apply(settings: Settings, stack: str, template: dict[str, Any], values: dict[str, str]) -> dict[str, str]:
    cloudformation = client(settings, "cloudformation")
    arguments = {
        "StackName": stack,
        "TemplateBody": json.dumps(template),
        "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
    }
    try:
        if _exists(cloudformation, stack):
            cloudformation.update_stack(**arguments)
        else:
            cloudformation.create_stack(**arguments)
        (described,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
    except EndpointConnectionError as error:
        raise LocalCloudError(f"the local cloud does not answer at {settings.endpoint_url}") from error
    except ClientError as error:
        message = error.response["Error"]["Message"]
        kind = UnsupportedError if error.response["Error"]["Code"] == "UnsupportedError" else LocalCloudError
        raise kind(f"stack {stack} was not deployed: {message}") from error
    if described["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        raise LocalCloudError(f"stack {stack} is {described['StackStatus']}")
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}


def _exists(cloudformation: Any, stack: str) -> bool:
    return any(
        summary["StackName"] == stack and summary["StackStatus"] != "DELETE_COMPLETE"
        for summary in cloudformation.list_stacks()["StackSummaries"]
    )
