"""The algorithms beside fmeval's: what they give, and what a config may set."""

from __future__ import annotations

from assay.contracts.algorithm import Algorithm, Direction, Parameter

_SCORERS = "assay.scoring"
_IGNORE_CASE = Parameter("ignore_case", "flag", "whether upper and lower case are the same", default=False)
_TRIM = Parameter("trim", "flag", "whether space around both texts counts for nothing", default=True)


def _higher(*names: str) -> dict[str, Direction]:
    return dict.fromkeys(names, "higher")


OURS = (
    Algorithm(
        name="ExactMatch",
        module="",
        config="",
        scores=_higher("exact_match"),
        binary=frozenset({"exact_match"}),
        delimited=True,
        meaning="Whether the response is the expected answer.",
        scorer=f"{_SCORERS}.assertions:exact_match",
        parameters=(_IGNORE_CASE, _TRIM),
    ),
    Algorithm(
        name="Contains",
        module="",
        config="",
        scores=_higher("contains"),
        binary=frozenset({"contains"}),
        delimited=True,
        meaning="Whether the response contains the expected answer, or the texts that the config names.",
        scorer=f"{_SCORERS}.assertions:contains",
        parameters=(
            _IGNORE_CASE,
            Parameter("texts", "texts", "what to look for in every response, instead of the expected answer"),
            Parameter("every", "flag", "whether all of several texts or alternatives must be there", default=False),
        ),
    ),
    Algorithm(
        name="Regex",
        module="",
        config="",
        scores=_higher("regex_match"),
        binary=frozenset({"regex_match"}),
        meaning="Whether the response matches a regular expression: the config's, else the expected answer.",
        scorer=f"{_SCORERS}.assertions:regex",
        parameters=(
            _IGNORE_CASE,
            Parameter("pattern", "text", "the expression, in the syntax of Python's `regex`"),
            Parameter("whole", "flag", "whether the whole response must match, not a part of it", default=False),
            Parameter("seconds", "number", "a match that takes longer is a failure", default=1.0, least=0.001, most=60),
        ),
    ),
    Algorithm(
        name="JsonSchema",
        module="",
        config="",
        scores=_higher("json_valid", "json_matches"),
        binary=frozenset({"json_valid", "json_matches"}),
        meaning="Whether the response is JSON, and whether that JSON obeys a schema.",
        scorer=f"{_SCORERS}.assertions:json_schema",
        parameters=(
            Parameter("schema", "mapping", "a JSON Schema, draft 2020-12 unless it names another", required=True),
            Parameter("fenced", "flag", "whether JSON inside of a Markdown fence counts as well", default=True),
        ),
        needs=frozenset(),
    ),
    Algorithm(
        name="NumericTolerance",
        module="",
        config="",
        scores=_higher("numeric_match"),
        binary=frozenset({"numeric_match"}),
        delimited=True,
        meaning="Whether a number in the response is the expected one, up to a tolerance.",
        scorer=f"{_SCORERS}.assertions:numeric_tolerance",
        parameters=(
            Parameter("absolute", "number", "how far it may be off", default=0.0, least=0),
            Parameter("relative", "number", "how far it may be off, as a share of the expected one", default=0.0,
                      least=0),
            Parameter("which", "text", "the number of the response that counts", default="last",
                      choices=("first", "last", "any")),
        ),
    ),
    Algorithm(
        name="Bleu",
        module="",
        config="",
        scores=_higher("bleu"),
        delimited=True,
        meaning="BLEU of sacrebleu, from 0 to 1: of each response with effective order, and of the whole catalog.",
        scorer=f"{_SCORERS}.overlap:bleu",
        parameters=(
            Parameter("tokenize", "text", "sacrebleu's tokenizer", default="13a",
                      choices=("13a", "intl", "char", "zh", "none")),
            Parameter("lowercase", "flag", "whether upper and lower case are the same", default=False),
        ),
        dataset_scores=_higher("corpus_bleu"),
    ),
    Algorithm(
        name="ChrF",
        module="",
        config="",
        scores=_higher("chrf"),
        delimited=True,
        meaning="chrF of sacrebleu, from 0 to 1: of each response, and of the whole catalog.",
        scorer=f"{_SCORERS}.overlap:chrf",
        parameters=(
            Parameter("word_order", "integer", "n-grams of words that count too; 2 is chrF++", default=0, least=0,
                      most=6),
            Parameter("lowercase", "flag", "whether upper and lower case are the same", default=False),
        ),
        dataset_scores=_higher("corpus_chrf"),
    ),
    Algorithm(
        name="Rouge",
        module="",
        config="",
        scores=_higher("rouge1", "rouge2", "rougeL"),
        delimited=True,
        meaning="ROUGE of rouge-score: F1 over words, pairs of words, and the longest common sequence.",
        scorer=f"{_SCORERS}.overlap:rouge",
        parameters=(Parameter("use_stemmer", "flag", "whether stems are compared", default=True),),
    ),
    Algorithm(
        name="Judge",
        module="",
        config="",
        scores=_higher("judge_score"),
        meaning="How a judge grades the response by the rubric of the config's `judge`: grades from 1 to 5 as 0 to 1.",
        scorer=f"{_SCORERS}.judging:grades",
        needs=frozenset({"target_output", "judge"}),
    ),
    Algorithm(
        name="JudgePreference",
        module="",
        config="",
        scores=_higher("preference"),
        meaning="Whether a judge prefers the response to a rival's: 1, or 0, or 0.5 for a tie or a judge that "
        "contradicts itself when the answers are swapped. The rival itself has 0.5.",
        scorer=f"{_SCORERS}.judging:preferences",
        parameters=(
            Parameter("rival", "text", "the model of this config with whose answers every other's are compared",
                      required=True),
        ),
        undirected=frozenset({"judge_disagreement"}),
        dataset_scores={"disagreement_rate": "lower"},
        needs=frozenset({"target_output", "judge"}),
    ),
    Algorithm(
        name="EmbeddingSimilarity",
        module="",
        config="",
        scores=_higher("embedding_similarity"),
        delimited=True,
        meaning="Cosine of the sense of the response and of the expected answer, as a sentence encoder sees them.",
        scorer=f"{_SCORERS}.embedding:scorer",
        parameters=(
            Parameter(
                "embedding_model", "location",
                "a folder with a sentence encoder and its tokenizer in the format of transformers", required=True,
            ),
            Parameter("batch_size", "integer", "texts that the encoder reads at once", default=32, least=1, most=1024),
            Parameter("max_tokens", "integer", "tokens of a text that are read", default=256, least=8, most=8192),
        ),
    ),
)  # fmt: skip
