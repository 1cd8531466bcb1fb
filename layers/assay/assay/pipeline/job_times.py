"""How long jobs that ask and score a model may take.

A job that SageMaker ends by its time limit fails the whole pipeline instead of one model.
"""

from __future__ import annotations

from typing import Final

from assay.inference.batch import STOP_SECONDS

# How long scoring may take once the time for asking is over, and the most that SageMaker gives a job.
SCORING_SECONDS: Final = 6 * 3600
JOB_SECONDS: Final = 432_000


def job_seconds(evaluate_seconds: int, *, by_batch: bool) -> int:
    """The limit of a job that asks for so long and scores then; batch inference jobs may take a while to stop."""
    stopping = int(STOP_SECONDS) if by_batch else 0
    return min(evaluate_seconds + stopping + SCORING_SECONDS, JOB_SECONDS)


def batch_seconds(evaluate_seconds: int) -> int:
    """How long batch inference jobs may ask, so that in any case there is time to stop them and to score."""
    return min(evaluate_seconds, JOB_SECONDS - SCORING_SECONDS - int(STOP_SECONDS))
