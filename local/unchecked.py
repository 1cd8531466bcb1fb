"""What AWS checks or does and the local cloud does not, as `assay local status` prints it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unchecked:
    """One thing that is accepted here and has its effect only in AWS."""

    subject: str
    why: str


UNCHECKED: tuple[Unchecked, ...] = (
    Unchecked(
        "IAM: roles, policies, permissions boundaries, resource policies of buckets, topics, queues and functions",
        "stored, never evaluated: a missing permission shows only in AWS (sam validate and cfn-lint read them)",
    ),
    Unchecked("AWS's managed policies", "not attached to roles: they do not exist here"),
    Unchecked("Training jobs: debugger and profiler settings", "kept; nothing is profiled on this machine"),
    Unchecked("Encryption: KMS keys, SSE settings", "stored; nothing is encrypted on this machine"),
    Unchecked(
        "Quotas and throttling of the services",
        "no limit but a function's reserved concurrency, instances of each type behind endpoints, and batch jobs",
    ),
    Unchecked("Lambda: memory size, ephemeral storage, architecture", "a handler may use what the machine has"),
    Unchecked(
        "Lambda: the host of a function URL", "it is a path of the local cloud's address; throttling is the function's"
    ),
    Unchecked("Lambda: the 10 s of the init phase", "a busy laptop gets two minutes to import a handler"),
    Unchecked("Lambda: the 250 MiB of function and layers, unzipped", "not enforced; a test asserts the number"),
    Unchecked("Lambda: a read-only file system outside of /tmp", "a handler writes where the user may write"),
    Unchecked("Log groups and their retention", "stored; what handlers print is in .assay/local/logs/functions"),
    Unchecked("Tracing (X-Ray)", "accepted; no trace is kept"),
    Unchecked("Alarms", "stored, never evaluated; metrics are not collected"),
    Unchecked("S3 lifecycle rules", "stored; nothing expires or moves to another class"),
    Unchecked("S3 events other than Object Created and Object Deleted", "not sent: tags, ACLs, restores, transitions"),
    Unchecked(
        "SageMaker: memory, concurrency and cold starts of serverless endpoints",
        "kept; the model runs like any other, at once and with what the machine has",
    ),
    Unchecked(
        "SageMaker: instances behind an endpoint, and the room of an inference component on them",
        "kept; one process serves a model, with what the machine has",
    ),
    Unchecked("Bedrock: access to models", "every local model may be asked; guardrails are refused, not ignored"),
    Unchecked("Bedrock: the queue of batch inference", "a job begins at once; its role is not looked at"),
    Unchecked("DynamoDB: time to live, point-in-time recovery", "stored; items stay until they are deleted"),
    Unchecked("SNS: confirmation of e-mail subscriptions", "every subscription counts as confirmed; mails are files"),
    Unchecked(
        "SNS: redrive policies of subscriptions",
        "stored; nothing is lost on its way here",
    ),
    Unchecked("SQS: the redrive to a dead-letter queue", "as moto does it, when a message is received too often"),
    Unchecked("Event buses: dead-letter queue of the bus itself", "stored; rules' own dead-letter queues are used"),
    Unchecked(
        "Deletion and replacement policies",
        "Retain is kept; a stack is deleted one resource after the other, and a reset deletes everything",
    ),
)
