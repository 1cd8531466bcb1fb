"""Event buses, rules and schedules."""

from __future__ import annotations

import json
from typing import Any

from local.cloud import LocalCloudError
from local.resources.resource import Resource, tag_map


class EventBus(Resource):
    type_name = "AWS::Events::EventBus"
    name_property = "Name"
    attribute_names = ("Arn", "Name")
    replaces = ("Description",)

    def create(self) -> None:
        if "Name" not in self.properties:
            raise LocalCloudError("an event bus must have a Name")
        arguments = self.pick("Description", "DeadLetterConfig")
        tags = [{"Key": key, "Value": value} for key, value in tag_map(self.properties).items()]
        created = self.aws("events").create_event_bus(Name=self.name, Tags=tags, **arguments)
        self.attributes = {"Arn": created["EventBusArn"], "Name": self.name}

    def update(self) -> None:
        self.aws("events").update_event_bus(Name=self.name, **self.pick("DeadLetterConfig"))

    def remove(self) -> None:
        self.aws("events").delete_event_bus(Name=self.name)


class Rule(Resource):
    type_name = "AWS::Events::Rule"
    name_property = "Name"
    attribute_names = ("Arn",)
    replaces = ("EventBusName",)

    def create(self) -> None:
        bus = self._bus().split("/")[-1]
        self.physical_resource_id = self.name if bus == "default" else f"{bus}|{self.name}"
        self.update()

    def update(self) -> None:
        events, bus = self.aws("events"), self._bus()
        arguments = self.pick("Description", "RoleArn", "ScheduleExpression", "State")
        if "EventPattern" in self.properties:
            arguments["EventPattern"] = json.dumps(self.properties["EventPattern"])
        arn = events.put_rule(Name=self.name, EventBusName=bus, **arguments)["RuleArn"]
        self.attributes = {"Arn": arn}
        targets = [_numbers(target) for target in self.properties.get("Targets", [])]
        gone = {target["Id"] for target in self.previous.get("Targets", [])} - {target["Id"] for target in targets}
        if gone:
            events.remove_targets(Rule=self.name, EventBusName=bus, Ids=sorted(gone))
        if targets:
            events.put_targets(Rule=self.name, EventBusName=bus, Targets=targets)

    def remove(self) -> None:
        events, bus = self.aws("events"), self._bus()
        if ids := [target["Id"] for target in self.properties.get("Targets", [])]:
            events.remove_targets(Rule=self.name, EventBusName=bus, Ids=ids)
        events.delete_rule(Name=self.name, EventBusName=bus)

    def _bus(self) -> str:
        return str(self.properties.get("EventBusName", "default"))


class ScheduleGroup(Resource):
    type_name = "AWS::Scheduler::ScheduleGroup"
    name_property = "Name"
    attribute_names = ("Arn",)

    def create(self) -> None:
        tags = [{"Key": key, "Value": value} for key, value in tag_map(self.properties).items()]
        created = self.aws("scheduler").create_schedule_group(Name=self.name, Tags=tags)
        self.attributes = {"Arn": created["ScheduleGroupArn"]}

    def update(self) -> None:
        """A group is its name and its tags."""

    def remove(self) -> None:
        self.aws("scheduler").delete_schedule_group(Name=self.name)


class Schedule(Resource):
    type_name = "AWS::Scheduler::Schedule"
    name_property = "Name"
    attribute_names = ("Arn",)
    replaces = ("GroupName",)

    def create(self) -> None:
        created = self.aws("scheduler").create_schedule(**self._arguments())
        self.attributes = {"Arn": created["ScheduleArn"]}

    def update(self) -> None:
        self.aws("scheduler").update_schedule(**self._arguments())

    def remove(self) -> None:
        self.aws("scheduler").delete_schedule(Name=self.name, **self.pick("GroupName"))

    def _arguments(self) -> dict[str, Any]:
        arguments = self.pick(
            "Description",
            "FlexibleTimeWindow",
            "GroupName",
            "ScheduleExpression",
            "ScheduleExpressionTimezone",
            "State",
        )
        return {"Name": self.name, "Target": _numbers(self.properties["Target"]), **arguments}


def _numbers(target: dict[str, Any]) -> dict[str, Any]:
    """Make the numbers of a retry policy numbers; a parameter gives them as text."""
    if "RetryPolicy" not in target:
        return target
    return {**target, "RetryPolicy": {name: int(value) for name, value in target["RetryPolicy"].items()}}
