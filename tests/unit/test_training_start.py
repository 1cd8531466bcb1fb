"""A config whose training data are not what it says of them is refused before anything starts."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from assay.contracts.config import load_config
from assay.contracts.errors import RejectedError
from assay.pipeline.training import LOOKED_AT_BYTES, check_before_start

CHAT = json.dumps({"dialog": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})
CONFIG = """\
pipeline: {name: tune}
dataset: {input_data_location: x.jsonl}
models:
  - name: live
    provider: endpoint
    endpoint_name: live
  - name: tuned
    model_id: m
    deployment_config: {instance_type: ml.m5.xlarge}
    finetuning:
      train_data_path: TRAIN
      validation_data_path: training/check.jsonl
      parameters: {instance_type: ml.g5.xlarge, chat_dataset: true}
algorithms: [FactualKnowledge]
"""


class Objects:
    """The stack's bucket, in memory."""

    bucket = "drops"

    def __init__(self, **objects: str) -> None:
        self._objects = {name.replace("__", "/") + ".jsonl": body.encode() for name, body in objects.items()}

    def keys(self, prefix: str) -> list[str]:
        return sorted(key for key in self._objects if key.startswith(prefix))

    def chunks(self, key: str) -> Iterator[bytes]:
        yield from (self._objects[key][start : start + 65_536] for start in range(0, len(self._objects[key]), 65_536))


def check(train: str, store: Objects) -> None:
    text = CONFIG.replace("TRAIN", train).encode()
    check_before_start(load_config(text, "configs/tune.yaml"), text, "configs/tune.yaml", store)


@pytest.mark.parametrize("path", ["training/chats", "training/chats/", "s3://drops/training/chats"])
def test_good_data_in_a_folder_of_the_bucket_and_in_a_file_of_it_pass(path: str) -> None:
    check(path, Objects(training__chats__a=CHAT, training__chats2__b="no", training__check=CHAT))


def test_every_fault_is_told_at_its_place_in_the_config() -> None:
    with pytest.raises(RejectedError) as caught:
        check("training/chats", Objects(training__check=f"{CHAT}\n{{}}\n"))
    assert caught.value.subject == "configs/tune.yaml"
    missing, faulty = caught.value.faults
    assert (missing.line, missing.key) == (11, "models[1].finetuning_config.train_data_path")
    assert missing.message.startswith("no training data at training/chats")
    assert faulty.line == 12
    assert faulty.message == "check.jsonl, line 2: must have `dialog`, a list of messages"


def test_data_elsewhere_are_left_to_the_step_whose_role_may_read_them() -> None:
    check("s3://elsewhere/chats", Objects(training__check=CHAT))


def test_of_large_data_only_the_beginning_is_read() -> None:
    large = f"{CHAT}\n" * (LOOKED_AT_BYTES // len(CHAT) + 2)
    check("training/chats", Objects(training__chats__a=f"{large}faulty", training__check=CHAT))
    with pytest.raises(RejectedError):
        check("training/chats", Objects(training__chats__a=f"faulty\n{large}", training__check=CHAT))


def test_a_config_that_tunes_nothing_looks_at_nothing() -> None:
    text = CONFIG.partition("  - name: tuned")[0].encode() + b"algorithms: [FactualKnowledge]\n"
    check_before_start(load_config(text, "c"), text, "c", Objects())
