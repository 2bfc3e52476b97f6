# SPDX-License-Identifier: Apache-2.0
"""Parameters that are typed, described, bounded, and refused with a reason when wrong."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence

import rclpy
from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node

from jepa_wm_ros.errors import JepaWmError


class Parameters(Node):
    """A node whose parameters are judged before they are taken, at the start as at run time."""

    def __init__(self, name: str) -> None:
        self._choices: dict[str, Sequence] = {}
        self._checks: list[tuple[tuple[str, ...], Callable]] = []
        super().__init__(name)
        self.add_on_set_parameters_callback(self._judge_parameters)

    def declare(
        self,
        name: str,
        default,
        description: str,
        *,
        bounds: tuple | None = None,
        choices: Sequence | None = None,
        read_only: bool = False,
    ):
        """Declare a parameter and return its value. Raises JepaWmError when that makes no sense."""
        descriptor = ParameterDescriptor(description=description, read_only=read_only)
        if choices:
            self._choices[name] = choices
            descriptor.additional_constraints = ' or '.join(map(str, choices))
        if bounds and isinstance(default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(bounds[0]), to_value=float(bounds[1]))
            ]
        elif bounds:
            descriptor.integer_range = [
                IntegerRange(from_value=int(bounds[0]), to_value=int(bounds[1]))
            ]
        try:
            return self.declare_parameter(name, default, descriptor).value
        except (
            rclpy.exceptions.InvalidParameterValueException,
            rclpy.exceptions.InvalidParameterTypeException,
        ) as error:
            raise JepaWmError(f'parameter {name} of node {self.get_name()}: {error}') from None

    def check(self, *names: str, by: Callable) -> None:
        """Have `by(*values)` judge these declared parameters, now and at each change of one of
        them; it raises JepaWmError for values that do not go together.
        """
        by(*(self.value(name) for name in names))
        self._checks.append((names, by))

    def tell_unknown(self) -> None:
        """Warn of each value that was given at the start under a name that is not declared."""
        known = list(self.get_parameters_by_prefix(''))
        for name in self._parameter_overrides:
            if name in known or name.startswith('qos_overrides.'):
                continue
            near = difflib.get_close_matches(name, known, 1)
            hint = f': did you mean {near[0]}?' if near else ', see `ros2 param list`'
            self.get_logger().warning(f'parameter {name} is not one of this node{hint}')

    def value(self, name: str):
        """The present value of a declared parameter."""
        return self.get_parameter(name).value

    def _judge_parameters(self, parameters: list[rclpy.Parameter]) -> SetParametersResult:
        given = {parameter.name: parameter.value for parameter in parameters}
        try:
            for name, value in given.items():
                if isinstance(value, float) and not math.isfinite(value):
                    raise JepaWmError(f'{name} is {value}: give a finite number')
                if name in self._choices and value not in self._choices[name]:
                    raise JepaWmError(
                        f'{name} is {value!r}: use {" or ".join(map(str, self._choices[name]))}'
                    )
            for names, by in self._checks:
                if given.keys() & set(names):
                    by(*(given[name] if name in given else self.value(name) for name in names))
        except JepaWmError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)
