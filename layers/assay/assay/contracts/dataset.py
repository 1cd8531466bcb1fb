"""The `dataset` section of a config: which catalog, and where its fields lie."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from assay.contracts.prompt_template import that_shows_the_prompt
from assay.contracts.section import FieldLocation, Section

MAX_KEY_BYTES = 1024  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html


def _key_of(location: str) -> str:
    """The location as a key, or the whole `s3://` URI where one is given."""
    return location if location.startswith(("s3://", "catalogs/")) else f"catalogs/{location}"


def _that_a_catalog_can_have(location: str) -> str:
    """Nothing is ever dropped at another place, so that a suite would wait for it without end."""
    key = _key_of(location)
    if key.startswith("s3://"):
        key = key.removeprefix("s3://").partition("/")[2]
    if location.endswith("/"):
        raise ValueError(f"must name a file, not a folder: without `/` at its end, found {location[-80:]!r}")
    if (size := len(key.encode())) > MAX_KEY_BYTES:
        raise ValueError(f"must be a key of at most {MAX_KEY_BYTES:,} bytes, found {size:,}: {location[:80]!r}...")
    return location


PromptTemplate = Annotated[str, AfterValidator(that_shows_the_prompt)]


class DatasetSection(Section):
    """The catalog, and where its fields lie.

    A field lies at a key or CSV column of that name, or at a JMESPath into the record.

    Attributes:
        dataset_name: a name for people.
        input_data_location: `s3://bucket/key` in the stack's bucket, or a key with or without its `catalogs/`.
        dataset_mime_type: form of the catalog: JSON Lines or CSV; told by the key's ending when left out, where
            `.csv` and `.csv.gz` are CSV. Gzip is told by the file's content.
        model_input_key: where the record's input lies.
        target_output_key: where the expected answer lies; alternatives are parted by the algorithm's delimiter.
        context_key: where a text lies that templates name `$context`; the key `context` when left out.
        category_key: where the record's category lies, for slices.
        cluster_key: where the name lies of what a record shares with others, such as the document it is about; records
            that share it are not taken for independent.
        id_key: where the record's id lies; the key `id` when left out, and a hash of the input without one.
        num_records: ask only this many records, drawn with `seed`; every one when left out.
        seed: seed of that draw.
        prompt_templates: name and text of each prompt template; every model is asked with every one.
    """

    dataset_name: str = ""
    input_data_location: Annotated[str, Field(min_length=1), AfterValidator(_that_a_catalog_can_have)]
    dataset_mime_type: Literal["jsonlines", "application/jsonlines", "csv", "text/csv"] | None = None
    model_input_key: FieldLocation = "model_input"
    target_output_key: FieldLocation = "target_output"
    context_key: FieldLocation | None = None
    category_key: FieldLocation | None = None
    cluster_key: FieldLocation | None = None
    id_key: FieldLocation | None = None
    num_records: Annotated[int, Field(ge=1)] | None = None
    seed: int = 0
    prompt_templates: dict[str, PromptTemplate] = Field(default_factory=dict)

    def catalog_key(self) -> str:
        """Key of the catalog in the stack's bucket, or the whole `s3://` URI where one is given."""
        return _key_of(self.input_data_location)

    def is_csv(self, key: str) -> bool:
        """Whether a catalog of this key is CSV, else it is JSON Lines."""
        if self.dataset_mime_type is not None:
            return self.dataset_mime_type in ("csv", "text/csv")
        return key.lower().removesuffix(".gz").endswith(".csv")
