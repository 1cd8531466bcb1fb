"""What a function is given by its environment, read when it is first needed and once a process."""

from __future__ import annotations

import functools
import os


@functools.cache
def setting(name: str) -> str:
    """One environment variable.

    Raises:
        RuntimeError: it is not set, so the template and the function disagree.
    """
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"the environment variable {name} is not set")
    return value


def bucket_name() -> str:
    """The bucket that people drop into, and that holds every evaluation."""
    return setting("BUCKET_NAME")


def event_bus_name() -> str:
    """Assay's own bus."""
    return setting("EVENT_BUS_NAME")


def topic_arn() -> str:
    """The topic of Assay's mails."""
    return setting("TOPIC_ARN")


def suite_topic_arn_prefix() -> str:
    """What the ARN of a suite's own topic begins with; the suite's name follows."""
    return setting("SUITE_TOPIC_ARN_PREFIX")


def mail_dead_letters_arn() -> str:
    """The queue for mails that SNS could not deliver."""
    return setting("MAIL_DEAD_LETTERS_ARN")


def evaluations_table() -> str:
    """The table of suites and evaluations."""
    return setting("EVALUATIONS_TABLE")


def idempotency_table() -> str:
    """Powertools' table of events that were handled."""
    return setting("IDEMPOTENCY_TABLE")


def pipeline_prefix() -> str:
    """A suite's pipeline is called `<prefix>-<suite>`."""
    return setting("PIPELINE_PREFIX")


def pipeline_role_arn() -> str:
    """The role of pipelines, their steps and the endpoints they deploy."""
    return setting("PIPELINE_ROLE_ARN")


def batch_role_arn() -> str:
    """The role that Bedrock takes in batch inference jobs."""
    return setting("BATCH_ROLE_ARN")


def conclude_machine_arn() -> str:
    """The state machine that concludes evaluations."""
    return setting("CONCLUDE_MACHINE_ARN")


def announce_machine_arn() -> str:
    """The state machine that tells how a model package stands."""
    return setting("ANNOUNCE_MACHINE_ARN")


def step_image_uri() -> str:
    """The evaluation image."""
    return setting("STEP_IMAGE_URI")


def step_instance_type() -> str:
    """The instance type of pipeline steps."""
    return setting("STEP_INSTANCE_TYPE")


def step_keep_alive_seconds() -> int:
    """How long a step's instance waits for the next step; 0 is not at all."""
    return int(setting("STEP_KEEP_ALIVE_SECONDS"))


def owner() -> str:
    """Value of the tag `assay:owner` on whatever this stack creates."""
    return setting("OWNER")


def approval_url() -> str | None:
    """Where approval links lead; None where the stack has none."""
    return os.environ.get("APPROVAL_URL") or None


def schedule_group() -> str:
    """The group of EventBridge Scheduler that holds the suites' schedules."""
    return setting("SCHEDULE_GROUP")


def schedule_role_arn() -> str:
    """The role that EventBridge Scheduler calls a function as."""
    return setting("SCHEDULE_ROLE_ARN")


def schedule_dead_letters_arn() -> str:
    """The queue for what EventBridge Scheduler could not deliver."""
    return setting("SCHEDULE_DEAD_LETTERS_ARN")
