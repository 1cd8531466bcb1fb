"""The `dataset` section of a config: which catalog, and where its fields lie."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from assay.contracts.section import Section


class DatasetSection(Section):
    """The catalog, and where its fields lie.

    Attributes:
        dataset_name: a name for people.
        input_data_location: `s3://bucket/key` in the stack's bucket, or a key with or without its `catalogs/`.
        dataset_mime_type: form of the catalog: JSON Lines, a record a line.
        model_input_key: key of the record's input.
        target_output_key: key of the expected answer.
        category_key: key of the record's category, for slices.
        num_records: ask only this many records, drawn with `seed`; None asks every one.
        seed: seed of that draw.
        prompt_templates: name and text of each prompt template; every model is asked with every one.
    """

    dataset_name: str = ""
    input_data_location: str = Field(min_length=1)
    dataset_mime_type: Literal["jsonlines", "application/jsonlines"] = "jsonlines"
    model_input_key: str = Field("model_input", min_length=1)
    target_output_key: str = Field("target_output", min_length=1)
    category_key: str | None = None
    num_records: Annotated[int, Field(ge=1)] | None = None
    seed: int = 0
    prompt_templates: dict[str, str] = Field(default_factory=dict)

    def catalog_key(self) -> str:
        """Key of the catalog in the stack's bucket, or the whole `s3://` URI where one is given."""
        location = self.input_data_location
        return location if location.startswith(("s3://", "catalogs/")) else f"catalogs/{location}"
