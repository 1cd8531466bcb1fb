"""Step Functions: moto keeps the state machines, our interpreter runs them.

moto's own engine is not used. It never wires JSONata in, accepts definitions that cannot run, and lacks what
`local.asl` carries out; so its backend is replaced by one that checks each definition when it is created or updated
and runs it with `local.asl.interpreter`. CloudFormation makes its state machines through the API as well.
"""

from __future__ import annotations

import json
import random
import threading
import uuid
from datetime import UTC, datetime
from typing import Any

from moto.stepfunctions import models, responses, urls
from moto.stepfunctions.exceptions import (
    AWSError,
    ExecutionAlreadyExists,
    ExecutionDoesNotExist,
    InvalidExecutionInput,
    ResourceNotFound,
    ValidationException,
)
from moto.stepfunctions.parser import models as parser_models

from local.adapters import step_functions_events, step_functions_responses
from local.adapters.step_functions_actions import unserved_actions
from local.asl.check import check_definition
from local.asl.execution import RUNNING, Execution, Machine
from local.asl.integrations import Integrations
from local.asl.interpreter import Interpreter
from local.asl.tasks import Tasks
from local.asl.tokens import TaskTokens
from local.asl.visit import LARGEST_DATA_BYTES
from local.cloud import Cloud, LocalCloudError, require

_Backend = require(models, "StepFunctionBackend")
_backends = require(models, "stepfunctions_backends")
require(_backends, "backend")
require(parser_models, "stepfunctions_parser_backends")
require(responses, "get_backend")
for _method in ("create_state_machine", "update_state_machine", "start_execution", "stop_execution", "reset"):
    require(_Backend, _method)
for _method in ("send_task_success", "send_task_failure", "send_task_heartbeat", "get_execution_history"):
    require(_Backend, _method)


class InvalidDefinitionError(AWSError):  # type: ignore[misc]
    """What the API answers to a definition that `check_definition` refuses."""

    TYPE = "InvalidDefinition"


class StateMachineAlreadyExistsError(AWSError):  # type: ignore[misc]
    """Another state machine has this name."""

    TYPE = "StateMachineAlreadyExists"


def install(cloud: Cloud) -> None:
    """Let this cloud's state machines be checked and run by our interpreter."""
    # The class of the backends is what moto makes them from; both of moto's dictionaries become the same one, so that
    # it does not matter which of them CloudFormation, the API or another adapter asks.
    _backends.backend = _backend_class(cloud)
    _backends.clear()
    parser_models.stepfunctions_parser_backends = _backends
    step_functions_responses.install(cloud)


def _backend_class(cloud: Cloud) -> type[Any]:
    def now() -> datetime:
        return datetime.now(UTC)

    tokens = TaskTokens()
    tasks = Tasks(Integrations(cloud.settings), tokens, cloud.settings.region)
    interpreter = Interpreter(tasks, time_scale=cloud.settings.time_scale, chance=random.Random(), now=now)  # noqa: S311
    logs = cloud.settings.home / "logs" / "state_machines"
    lock = threading.Lock()

    class ExecutingBackend(_Backend):  # type: ignore[misc, valid-type]
        """moto's backend, whose state machines are checked and whose executions run."""

        task_tokens = tokens

        @property
        def _url_module(self) -> Any:
            return urls

        def reset(self) -> None:
            for machine in self.state_machines:
                for execution in machine.executions:
                    execution.stop(cause="The local cloud was reset")
            super().reset()

        def create_state_machine(self, name: str, definition: str, *args: Any, **kwargs: Any) -> Any:
            _require_sound(definition)
            if kwargs.get("sm_type") == "EXPRESS":
                raise ValidationException("type: only STANDARD is carried out")
            existing = next((machine for machine in self.state_machines if machine.name == name), None)
            if existing is not None and existing.definition != definition:
                raise StateMachineAlreadyExistsError(f"State Machine Already Exists: '{existing.arn}'")
            return super().create_state_machine(name, definition, *args, **kwargs)

        def update_state_machine(self, arn: str, definition: str | None = None, *args: Any, **kwargs: Any) -> Any:
            if definition is not None:
                _require_sound(definition)
            return super().update_state_machine(arn, definition, *args, **kwargs)

        def start_execution(self, state_machine_arn: str, name: str | None, execution_input: str | None) -> Execution:
            text = execution_input or "{}"
            _require_input(text)
            machine = self.describe_state_machine(state_machine_arn)
            name = name or str(uuid.uuid4())
            self._validate_name(name)
            with lock:
                existing = next((one for one in machine.executions if one.name == name), None)
                if existing is not None:
                    if existing.status == RUNNING and existing.execution_input == text:
                        return existing  # type: ignore[no-any-return]
                    raise ExecutionAlreadyExists(f"Execution Already Exists: '{existing.execution_arn}'")
                execution = Execution(
                    Machine(machine.arn, machine.name, machine.roleArn, json.loads(machine.definition)),
                    name=name,
                    arn=machine.arn.replace(":stateMachine:", ":execution:") + f":{name}",
                    text=text,
                    interpreter=interpreter,
                    log=logs / machine.name / f"{name}.jsonl",
                    now=now,
                    on_change=lambda changed: step_functions_events.announce(cloud, changed),
                )
                machine.executions.append(execution)
            execution.start()
            return execution

        def stop_execution(self, execution_arn: str, error: str | None = None, cause: str | None = None) -> Execution:
            execution: Execution = self.describe_execution(execution_arn)
            execution.stop(error=error, cause=cause)
            return execution

        def describe_execution(self, execution_arn: str) -> Execution:
            self._validate_execution_arn(execution_arn)
            for machine in self.state_machines:
                for execution in machine.executions:
                    if execution.execution_arn == execution_arn:
                        return execution  # type: ignore[no-any-return]
            raise ExecutionDoesNotExist(f"Execution Does Not Exist: '{execution_arn}'")

        def describe_state_machine_for_execution(self, execution_arn: str) -> Any:
            execution = self.describe_execution(execution_arn)
            for machine in self.state_machines:
                if machine.arn == execution.state_machine_arn:
                    return machine
            raise ResourceNotFound(execution_arn)

        def get_execution_history(self, execution_arn: str) -> dict[str, Any]:
            return {"events": self.describe_execution(execution_arn).history()}

    return ExecutingBackend


def _require_sound(definition: str) -> None:
    try:
        parsed = json.loads(definition)
    except ValueError as problem:
        raise InvalidDefinitionError(f"The definition is not JSON: {problem}") from problem
    try:
        check_definition(parsed)
        faults = list(unserved_actions(parsed))
    except LocalCloudError as fault:
        raise InvalidDefinitionError(str(fault)) from fault
    if faults:
        raise InvalidDefinitionError("\n".join(faults))


def _require_input(text: str) -> None:
    if len(text.encode()) > LARGEST_DATA_BYTES:
        raise ValidationException(f"input: must have a length of at most {LARGEST_DATA_BYTES} bytes")
    try:
        json.loads(text)
    except ValueError as problem:
        raise InvalidExecutionInput(f"Invalid State Machine Execution Input: '{problem}'") from problem
