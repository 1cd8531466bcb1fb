"""Whether training data are what a config says of them, before a training job costs anything.

JumpStart's text generation models take a channel as a folder: for instructions JSON Lines with one object of text
fields a line, and a `template.json` that makes prompt and completion of them; for chats JSON Lines with a `dialog` a
line; else text to go on reading (.txt, .csv or .json). Source: "Fine-tune a large language model (LLM) using prompt
instructions" and the fine-tuning pages of the models in the SageMaker AI Developer Guide.
"""

from __future__ import annotations

import codecs
import json
import string
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from assay.contracts.config import SuiteConfig
from assay.contracts.errors import Fault
from assay.contracts.model_section import FinetuningSection

MAX_FAULTS = 20
TEMPLATE = "template.json"
TEMPLATE_KEYS = ("prompt", "completion")
# The fields of JumpStart's own template, which is taken where a channel holds none.
DEFAULT_FIELDS = ("instruction", "context", "response")
TEXT_ENDINGS = (".txt", ".csv", ".json")
ROLES = ("system", "user", "assistant")
LONGEST_TEMPLATE = 65_536


class Folder(Protocol):
    """Objects below one prefix or key of a bucket."""

    def names(self) -> list[str]:
        """Their names below the prefix, sorted; the last part of the key where the prefix is a whole key."""
        ...

    def chunks(self, name: str) -> Iterator[bytes]:
        """One object's content, piece by piece."""
        ...


@dataclass
class Checked:
    """What was found in one channel.

    Attributes:
        examples: lines that can be learned; 0 for text, which is not counted.
        faults: the first of them, each with the file and the line in it.
        total: all of them.
    """

    examples: int = 0
    faults: list[Fault] = field(default_factory=list)
    total: int = 0

    def add(self, message: str, key: str) -> None:
        self.total += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(message, key=key))


def kind_of(section: FinetuningSection) -> str | None:
    """`chat`, `instruction` or `text`; None where the config leaves it to the model."""
    parameters = section.parameters
    if parameters.chat_dataset:
        return "chat"
    if parameters.instruction_tuned:
        return "instruction"
    return "text" if parameters.chat_dataset is False and parameters.instruction_tuned is False else None


def check_training_data(
    config: SuiteConfig, folder_of: Callable[[str], Folder | None], *, most_bytes: int | None = None
) -> tuple[dict[str, dict[str, int]], list[Fault]]:
    """Check the training data of every model that is fine-tuned.

    Args:
        config: a checked config.
        folder_of: what lies at a path of the config; None for what is not to be looked at here.
        most_bytes: how much of each channel to read; all of it when None.

    Returns:
        The number of examples by model and channel, and the first faults of each channel.
    """
    counts: dict[str, dict[str, int]] = {}
    faults: list[Fault] = []
    for index, model in enumerate(config.models):
        section = model.finetuning_config
        if section is None:
            continue
        training = folder_of(section.train_data_path)
        paths = {"training": ("train_data_path", section.train_data_path)}
        if section.validation_data_path is not None:
            paths["validation"] = ("validation_data_path", section.validation_data_path)
        for channel, (name, path) in paths.items():
            folder = training if channel == "training" else folder_of(path)
            if folder is None:
                continue
            key = f"models[{index}].finetuning_config.{name}"
            found = check_channel(kind_of(section), path, folder, key, template_of=training, most_bytes=most_bytes)
            counts.setdefault(model.name, {})[channel] = found.examples
            faults += found.faults
            if found.total > len(found.faults):
                faults.append(Fault(f"{path}: {found.total - len(found.faults)} more faults", key=key))
    return counts, faults


def check_channel(
    kind: str | None,
    path: str,
    folder: Folder,
    key: str = "",
    *,
    template_of: Folder | None = None,
    most_bytes: int | None = None,
) -> Checked:
    """Read a channel, in bounded memory.

    Args:
        kind: as `kind_of` gives it.
        path: the path as the config names it.
        folder: what lies there.
        key: of the config, such as `models[0].finetuning_config.train_data_path`.
        template_of: where the template lies when the folder itself holds none.
        most_bytes: how much to read; all of it when None.
    """
    found = Checked()
    names = folder.names()
    data = [name for name in names if name.endswith(".jsonl")]
    if not names:
        found.add(f"no training data at {path}: there is no object of that key, and none below it", key)
    elif kind == "text":
        if not any(name.endswith(TEXT_ENDINGS) for name in names):
            found.add(f"{path} holds no text ({', '.join(TEXT_ENDINGS)}), which a config that says neither "
                      "`instruction_tuned` nor `chat_dataset` trains on", key)  # fmt: skip
    elif kind is None and not data:
        return found  # what the model's own default takes is the model's to say
    elif not data:
        found.add(f"{path} holds no .jsonl file, which {kind} data are; it holds {_some(names)}", key)
    else:
        fields = _fields((folder, template_of), found, key) if kind == "instruction" else ()
        for name in data:
            _read(_Bounded(folder.chunks(name), most_bytes), name, kind, fields, found, key)
        if not found.examples and not found.total:
            found.add(f"{path} holds no example: {_some(data)} is empty", key)
    return found


@dataclass
class _Bounded:
    """Pieces of a file up to a number of bytes; `cut` tells whether there was more."""

    chunks: Iterable[bytes]
    most: int | None
    cut: bool = False

    def __iter__(self) -> Iterator[bytes]:
        read = 0
        for chunk in self.chunks:
            if self.most is not None and read >= self.most:
                self.cut = True
                return
            read += len(chunk)
            yield chunk


def _read(pieces: _Bounded, name: str, kind: str | None, fields: Iterable[str], found: Checked, key: str) -> None:
    lines = _lines(pieces)
    for number, line in enumerate(lines, start=1):
        if pieces.cut:
            return  # the line may be a part of one
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            found.add(f"{name}, line {number}: not JSON: {str(error)[:100]}", key)
            continue
        message = _fault_of(row, kind, fields)
        if message is None:
            found.examples += 1
        else:
            found.add(f"{name}, line {number}: {message}", key)


def _fault_of(row: Any, kind: str | None, fields: Iterable[str]) -> str | None:
    if not isinstance(row, dict):
        return f"must be a JSON object, found {type(row).__name__}"
    if kind == "chat":
        return _chat_fault(row.get("dialog"))
    for name in fields:
        if name not in row:
            return f"the template names {name!r}, and the line has {_some(map(str, row))}"
        if not isinstance(row[name], str | int | float) or isinstance(row[name], bool):
            return f"{name!r} must be text"
    return None


def _chat_fault(dialog: Any) -> str | None:
    if not isinstance(dialog, list) or not dialog:
        return "must have `dialog`, a list of messages"
    roles = []
    for place, message in enumerate(dialog, start=1):
        if not isinstance(message, dict) or not isinstance(message.get("content"), str):
            return f"message {place} of the dialog must have `role` and `content`, both text"
        if message.get("role") not in ROLES:
            return f"message {place} of the dialog must have a `role` among {', '.join(ROLES)}"
        roles.append(message["role"])
    turns = roles[1:] if roles[0] == "system" else roles
    expected = ["user", "assistant"] * (len(turns) // 2)
    if not turns or turns != expected:
        return "after an optional system message, user and assistant must take turns, the assistant last"
    return None


def _fields(folders: Iterable[Folder | None], found: Checked, key: str) -> tuple[str, ...]:
    """Names of the fields that the template puts together; of JumpStart's own where there is none."""
    places = [(folder, name) for folder in folders if folder is not None for name in folder.names()
              if name.rpartition("/")[2] == TEMPLATE]  # fmt: skip
    if not places:
        return DEFAULT_FIELDS
    folder, template_name = places[0]
    text = b""
    for chunk in folder.chunks(template_name):
        text += chunk
        if len(text) > LONGEST_TEMPLATE:
            break
    try:
        template = json.loads(text)
        parts = [template[name] for name in TEMPLATE_KEYS]
        fields = [name for part in parts for _, name, _, _ in string.Formatter().parse(part) if name is not None]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        found.add(f"{template_name} must be a JSON object with the texts `prompt` and `completion`, fields in braces "
                  f"({type(error).__name__}: {str(error)[:80]})", key)  # fmt: skip
        return ()
    return tuple(dict.fromkeys(fields))


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Lines of UTF-8 text; what is no UTF-8 is put in a way that is no JSON either."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    rest = ""
    for chunk in chunks:
        *lines, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from lines
    yield rest + decoder.decode(b"", final=True)


def _some(names: Iterable[str]) -> str:
    listed = [name[:60] for name in names]
    more = f" and {len(listed) - 5} more" if len(listed) > 5 else ""
    return ", ".join(listed[:5]) + more if listed else "nothing"
