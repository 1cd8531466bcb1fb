"""`Step Functions Execution Status Change`: what Step Functions tells EventBridge about its executions.

The detail's members are those of the Step Functions developer guide ("Automating Step Functions event delivery with
EventBridge"); moments are milliseconds since the epoch.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from local.asl.execution import Execution
from local.cloud import Cloud


def announce(cloud: Cloud, execution: Execution) -> None:
    """Put the execution's present status on the default bus."""
    # Imported late: the bus is an adapter's as well, and starts executions.
    from local.events import bus

    bus.emit(
        cloud,
        source="aws.states",
        detail_type="Step Functions Execution Status Change",
        detail=detail(execution),
        resources=(execution.execution_arn,),
    )


def detail(execution: Execution) -> dict[str, Any]:
    return {
        "executionArn": execution.execution_arn,
        "stateMachineArn": execution.state_machine_arn,
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "name": execution.name,
        "status": execution.status,
        "startDate": _milliseconds(execution.start_date),
        "stopDate": None if execution.stop_date is None else _milliseconds(execution.stop_date),
        "input": execution.execution_input,
        "inputDetails": {"included": True},
        "output": execution.output,
        "outputDetails": None if execution.output is None else {"included": True},
        "error": execution.error,
        "cause": execution.cause,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "NOT_REDRIVABLE",
    }


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
