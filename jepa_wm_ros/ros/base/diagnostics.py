# SPDX-License-Identifier: Apache-2.0
"""What a node says of itself on /diagnostics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node

PERIOD = 1.0  # s


@dataclass
class Diagnostics:
    """Publishes the state of a node's parts on /diagnostics once a second.

    A part is a function returning (level, message, values); levels are those of DiagnosticStatus.
    """

    node: Node
    hardware_id: str = ''
    parts: dict[str, Callable] = field(default_factory=dict)

    OK = DiagnosticStatus.OK
    WARN = DiagnosticStatus.WARN
    ERROR = DiagnosticStatus.ERROR
    STALE = DiagnosticStatus.STALE

    def __post_init__(self) -> None:
        self._publisher = self.node.create_publisher(DiagnosticArray, '/diagnostics', 1)
        self.node.create_steady_timer(PERIOD, self.publish)

    def publish(self) -> None:
        """Ask every part and publish what it says."""
        message = DiagnosticArray()
        message.header.stamp = self.node.get_clock().now().to_msg()
        for name, part in list(self.parts.items()):
            level, text, values = part()
            message.status.append(
                DiagnosticStatus(
                    level=level,
                    name=f'{self.node.get_fully_qualified_name()}: {name}',
                    message=text,
                    hardware_id=self.hardware_id,
                    values=[KeyValue(key=k, value=str(v)) for k, v in values.items()],
                )
            )
        self._publisher.publish(message)
