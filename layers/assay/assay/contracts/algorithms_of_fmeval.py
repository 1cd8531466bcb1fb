"""The algorithms of fmeval 1.2.3: names, modules, scores and parameters are its own.

A test compares every row with fmeval's dataclasses. `converter_fn`, a function, cannot be set in a config.
"""

from __future__ import annotations

from assay.contracts.algorithm import Algorithm, Direction, Parameter

_PACKAGE = "fmeval.eval_algorithms"
_SCORERS = "assay.scoring.fmeval"

_BERTSCORE_NAMES = ("microsoft/deberta-xlarge-mnli", "roberta-large-mnli")
_BERTSCORE = (
    Parameter(
        "bertscore_model", "location",
        "a folder with an encoder and its tokenizer in the format of transformers, for `bertscore`",
    ),
    Parameter(
        "bertscore_layers", "integer",
        "the layer of `bertscore_model` whose output is compared; the one that bert_score recommends for a model of "
        "that name, else the last", least=1,
    ),
    Parameter(
        "bertscore_batch_size", "integer",
        "pairs that the encoder reads at once; 1 gives fmeval's values (to the last digit on one thread), more is "
        "faster, moves the seventh digit, and the third of few pairs that share nothing", default=1, least=1, most=1024,
    ),
    Parameter(
        "model_type_for_bertscore", "text",
        "the encoder by its name, found in the image's Hugging Face cache, where `bertscore_model` is not given",
        choices=_BERTSCORE_NAMES, of_fmeval=True,
    ),
)  # fmt: skip
_NLTK = Parameter(
    "nltk_data", "location",
    "a folder with NLTK's `tokenizers/punkt_tab` and `corpora/wordnet`, unpacked, for `meteor`",
)  # fmt: skip
_ROUGE = (
    Parameter("rouge_type", "text", "which ROUGE", default="rouge2", choices=("rouge1", "rouge2", "rougeL"),
              of_fmeval=True),
    Parameter("use_stemmer_for_rouge", "flag", "whether ROUGE compares stems", default=True, of_fmeval=True),
)  # fmt: skip
_PERTURBATION = (
    Parameter("perturbation_type", "text", "what is done to the input", default="butter_finger",
              choices=("butter_finger", "random_upper_case", "whitespace_add_remove"), of_fmeval=True),
    Parameter("num_perturbations", "integer", "perturbed inputs of a record", default=5, least=1, most=100,
              of_fmeval=True),
    Parameter("butter_finger_perturbation_prob", "number", "share of the characters that become one beside it",
              default=0.1, least=0, most=1, of_fmeval=True),
    Parameter("random_uppercase_corrupt_proportion", "number", "share of the characters that become upper case",
              default=0.1, least=0, most=1, of_fmeval=True),
    Parameter("whitespace_add_prob", "number", "chance of a space after a character", default=0.05, least=0, most=1,
              of_fmeval=True),
    Parameter("whitespace_remove_prob", "number", "chance that a space goes", default=0.1, least=0, most=1,
              of_fmeval=True),
    Parameter("seed", "integer", "seed of the perturbations of each record", default=5, least=0),
)  # fmt: skip
_LABELS = Parameter(
    "valid_labels", "texts", "the labels; the expected answers of the catalog when left out", of_fmeval=True
)
_TOXICITY = (
    Parameter("model_type", "text", "which detector", default="detoxify", choices=("toxigen", "detoxify"),
              of_fmeval=True),
    Parameter(
        "toxicity_model", "location",
        "a folder with the detector: for detoxify `checkpoints/toxic_debiased-c7548aa0.ckpt`, and `roberta-base` with "
        "its config and tokenizer; for toxigen the files of `tomh/toxigen_roberta`", required=True,
    ),
)  # fmt: skip
_TOXIC_SCORES: dict[str, Direction] = dict.fromkeys(
    ("toxicity", "severe_toxicity", "obscene", "identity_attack", "insult", "threat", "sexual_explicit"), "lower"
)
_QA_SCORES = ("f1_score", "exact_match_score", "quasi_exact_match_score", "precision_over_words", "recall_over_words")
_QA_BINARY = frozenset({"exact_match_score", "quasi_exact_match_score"})
_BY_BERTSCORE = ("bertscore_model", "model_type_for_bertscore")


def _higher(*names: str) -> dict[str, Direction]:
    return dict.fromkeys(names, "higher")


def _lower(*names: str) -> dict[str, Direction]:
    return dict.fromkeys(names, "lower")


def _toxicity(name: str, module: str, what: str) -> Algorithm:
    return Algorithm(
        name=name,
        module=f"{_PACKAGE}.{module}",
        config="ToxicityConfig",
        scores=_TOXIC_SCORES,
        meaning=f"How toxic {what} is to a detector, in seven respects; toxigen gives `toxicity` alone.",
        scorer=f"{_SCORERS}.toxicity:scorer",
        parameters=_TOXICITY,
        only_with={score: ("model_type", "detoxify") for score in _TOXIC_SCORES if score != "toxicity"},
        needs=frozenset(),
    )


FMEVAL = (
    Algorithm(
        name="FactualKnowledge",
        module=f"{_PACKAGE}.factual_knowledge",
        config="FactualKnowledgeConfig",
        scores=_higher("factual_knowledge", "factual_knowledge_quasi_exact"),
        binary=frozenset({"factual_knowledge", "factual_knowledge_quasi_exact"}),
        delimited=True,
        meaning="Whether the response contains the expected answer: letters' case aside, and normalised.",
        scorer=f"{_SCORERS}.accuracy:factual_knowledge",
        parameters=(
            Parameter("logical_operator", "text", "whether one alternative must be there, or all", default="OR",
                      choices=("OR", "AND"), of_fmeval=True),
        ),
    ),
    Algorithm(
        name="QAAccuracy",
        module=f"{_PACKAGE}.qa_accuracy",
        config="QAAccuracyConfig",
        scores=_higher(*_QA_SCORES, "bertscore"),
        binary=_QA_BINARY,
        delimited=True,
        meaning="How far the words of the response are those of the expected answer.",
        scorer=f"{_SCORERS}.accuracy:qa_accuracy",
        parameters=_BERTSCORE,
        optional={"bertscore": _BY_BERTSCORE},
    ),
    Algorithm(
        name="SummarizationAccuracy",
        module=f"{_PACKAGE}.summarization_accuracy",
        config="SummarizationAccuracyConfig",
        scores=_higher("meteor", "rouge", "bertscore"),
        meaning="How close a summary is to the expected one, by common words, their synonyms and their sense.",
        scorer=f"{_SCORERS}.accuracy:summarization_accuracy",
        parameters=(*_ROUGE, _NLTK, *_BERTSCORE),
        optional={"meteor": ("nltk_data",), "bertscore": _BY_BERTSCORE},
    ),
    Algorithm(
        name="ClassificationAccuracy",
        module=f"{_PACKAGE}.classification_accuracy",
        config="ClassificationAccuracyConfig",
        scores=_higher("classification_accuracy_score"),
        binary=frozenset({"classification_accuracy_score"}),
        meaning="Whether the first label in the response is the expected one.",
        scorer=f"{_SCORERS}.classification:scorer",
        parameters=(
            _LABELS,
            Parameter("multiclass_average_strategy", "text", "how precision and recall of the labels are put together",
                      default="micro", choices=("micro", "macro", "samples", "weighted", "binary"), of_fmeval=True),
        ),
        dataset_scores=_higher("balanced_accuracy_score", "precision_score", "recall_score"),
        needs=frozenset({"target_output", "catalog"}),
    ),
    _toxicity("Toxicity", "toxicity", "the response"),
    _toxicity("QAToxicity", "qa_toxicity", "an answer to a question"),
    _toxicity("SummarizationToxicity", "summarization_toxicity", "a summary"),
    Algorithm(
        name="PromptStereotyping",
        module=f"{_PACKAGE}.prompt_stereotyping",
        config="",
        scores=_lower("absolute_log_probability_difference"),
        meaning="Whether a model holds the more stereotypical of two sentences for likelier; a share of 0.5 is best.",
        scorer=f"{_SCORERS}.stereotyping:scorer",
        parameters=(
            Parameter("more_key", "text", "the column with the more stereotypical sentence", default="sent_more_input"),
            Parameter("less_key", "text", "the column with the less stereotypical sentence", default="sent_less_input"),
        ),
        undirected=frozenset({"prompt_stereotyping", "log_probability_difference"}),
        dataset_scores=_lower("distance_from_half"),
        needs=frozenset({"log_probabilities"}),
    ),
    Algorithm(
        name="GeneralSemanticRobustness",
        module=f"{_PACKAGE}.general_semantic_robustness",
        config="GeneralSemanticRobustnessConfig",
        scores=_lower("word_error_rate", "bertscore_dissimilarity"),
        meaning="How much the response changes when the input is perturbed, beyond what it changes by itself.",
        scorer=f"{_SCORERS}.robustness:general",
        parameters=(
            *_PERTURBATION,
            Parameter("num_baseline_samples", "integer",
                      "responses to the unchanged input, of a model that does not always say the same", default=4,
                      least=2, most=20, of_fmeval=True),
            *_BERTSCORE,
        ),
        optional={"bertscore_dissimilarity": _BY_BERTSCORE},
        needs=frozenset({"second_answers"}),
    ),
    Algorithm(
        name="ClassificationAccuracySemanticRobustness",
        module=f"{_PACKAGE}.classification_accuracy_semantic_robustness",
        config="ClassificationAccuracySemanticRobustnessConfig",
        scores=_higher("classification_accuracy_score") | _lower("delta_classification_accuracy_score"),
        binary=frozenset({"classification_accuracy_score"}),
        meaning="ClassificationAccuracy, and how much it changes when the input is perturbed.",
        scorer=f"{_SCORERS}.robustness:classification",
        parameters=(*_PERTURBATION, _LABELS),
        needs=frozenset({"target_output", "catalog", "second_answers"}),
    ),
    Algorithm(
        name="QAAccuracySemanticRobustness",
        module=f"{_PACKAGE}.qa_accuracy_semantic_robustness",
        config="QAAccuracySemanticRobustnessConfig",
        scores=_higher(*_QA_SCORES, "bertscore") | _lower(*(f"delta_{name}" for name in (*_QA_SCORES, "bertscore"))),
        binary=_QA_BINARY,
        delimited=True,
        meaning="QAAccuracy, and how much it changes when the input is perturbed.",
        scorer=f"{_SCORERS}.robustness:qa",
        parameters=(*_PERTURBATION, *_BERTSCORE),
        optional={"bertscore": _BY_BERTSCORE, "delta_bertscore": _BY_BERTSCORE},
        needs=frozenset({"target_output", "second_answers"}),
    ),
    Algorithm(
        name="SummarizationAccuracySemanticRobustness",
        module=f"{_PACKAGE}.summarization_accuracy_semantic_robustness",
        config="SummarizationAccuracySemanticRobustnessConfig",
        scores=_higher("meteor", "rouge", "bertscore") | _lower("delta_meteor", "delta_rouge", "delta_bertscore"),
        meaning="SummarizationAccuracy, and how much it changes when the input is perturbed.",
        scorer=f"{_SCORERS}.robustness:summarization",
        parameters=(*_PERTURBATION, *_ROUGE, _NLTK, *_BERTSCORE),
        optional={
            "meteor": ("nltk_data",),
            "delta_meteor": ("nltk_data",),
            "bertscore": _BY_BERTSCORE,
            "delta_bertscore": _BY_BERTSCORE,
        },
        needs=frozenset({"target_output", "second_answers"}),
    ),
)  # fmt: skip
