"""Bedrock's Converse and batch inference, and an API of OpenAI's format, with the local models behind them.

Bedrock is where AWS's SDKs look for it. The API is at `/_local/openai/v1`, and the environment of handlers and steps
says so as OpenAI's own libraries expect it (`OPENAI_BASE_URL`).
"""

from __future__ import annotations

import threading

from local import clients, front
from local.cloud import Cloud
from local.faults import FAULTS
from local.hosted import bedrock, bedrock_batch, openai
from local.hosted.servers import IDLE_SECONDS, Servers
from local.models.host import Host

_LOOK_SECONDS = 30.0


def install(cloud: Cloud) -> None:
    """Put both in front of moto."""
    servers = Servers(lambda model: Host(cloud, model, f"hosted-{model}"))
    cloud.when_resting(servers.rest)
    threading.Thread(target=_watch, args=(cloud, servers), name="hosted-models", daemon=True).start()
    hosted = bedrock.Bedrock(servers, FAULTS, cloud.stopping.wait)
    objects = bedrock_batch.of_s3(lambda: clients.client(cloud.settings, "s3"))
    jobs = bedrock_batch.BatchJobs(hosted, objects, FAULTS, cloud.stopping)
    complete = openai.OpenAI(servers, FAULTS, cloud.stopping.wait).complete
    front.route(
        lambda request: request.method == "POST" and bedrock.PATH.fullmatch(request.path) is not None, hosted.converse
    )
    front.route(jobs.handles, jobs.answer)
    front.route(lambda request: request.method == "POST" and request.path == openai.PATH, complete)


def _watch(cloud: Cloud, servers: Servers) -> None:
    while not cloud.stopping.wait(_LOOK_SECONDS):
        servers.rest(IDLE_SECONDS)
