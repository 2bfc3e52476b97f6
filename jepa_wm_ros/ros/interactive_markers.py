# SPDX-License-Identifier: Apache-2.0
"""The server's half of the protocol by which RViz shows markers that can be clicked.

The package interactive_markers, which has it too, is in no package registry. Under a name NS a
server publishes NS/update, hears NS/feedback and serves NS/get_interactive_markers: who comes late
asks for all markers and the number of the last update, and follows the updates from there. Each
number is one more than the last one, so that a client notices what it missed and asks again.
"""

from __future__ import annotations

from collections.abc import Callable

from geometry_msgs.msg import Pose
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import Header
from visualization_msgs.msg import (
    InteractiveMarker,
    InteractiveMarkerFeedback,
    InteractiveMarkerPose,
    InteractiveMarkerUpdate,
)
from visualization_msgs.srv import GetInteractiveMarkers

QUEUE = QoSProfile(depth=100)  # a client that misses one update has to ask for everything again
# What a person means; the other events (the mouse goes down and up, the pose is told before and
# after) accompany a click.
CLICK = InteractiveMarkerFeedback.BUTTON_CLICK
SELECT = InteractiveMarkerFeedback.MENU_SELECT


class MarkerServer:
    """The markers under one name, by their own names.

    `put`, `move` and `erase` are collected until `apply`, which sends one update of what changed: a
    client keeps every picture that it is sent, so a marker is sent whole only when it is put. One
    thread changes the markers; it may be another than the executor's.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        on_click: Callable[[str], None],
        on_select: Callable[[str, int], None],
    ) -> None:
        """on_click(marker) and on_select(marker, menu entry) are told of markers that exist."""
        self._id = node.get_fully_qualified_name()
        self._on_click, self._on_select = on_click, on_select
        # The number of the last update and what is shown since: replaced, never changed.
        self._shown: tuple[int, dict[str, InteractiveMarker]] = (0, {})
        self._changes = InteractiveMarkerUpdate()
        self._said = node.create_publisher(InteractiveMarkerUpdate, f'{name}/update', QUEUE)
        node.create_subscription(
            InteractiveMarkerFeedback, f'{name}/feedback', self._on_feedback, QUEUE
        )
        node.create_service(GetInteractiveMarkers, f'{name}/get_interactive_markers', self._on_get)

    def put(self, marker: InteractiveMarker) -> None:
        """Show a marker, in place of one of its name."""
        self._changes.markers.append(marker)

    def move(self, name: str, pose: Pose) -> None:
        """Put a marker that is shown elsewhere, without sending the rest of it."""
        header = Header(frame_id=self._shown[1][name].header.frame_id)
        self._changes.poses.append(InteractiveMarkerPose(header=header, pose=pose, name=name))

    def erase(self, name: str) -> None:
        """Show a marker no longer."""
        self._changes.erases.append(name)

    def apply(self) -> None:
        """Tell every client what has changed, if anything; a marker is put, moved or erased."""
        changes, self._changes = self._changes, InteractiveMarkerUpdate()
        if not (changes.markers or changes.poses or changes.erases):
            return
        number, shown = self._shown
        shown = {name: each for name, each in shown.items() if name not in changes.erases}
        shown |= {marker.name: marker for marker in changes.markers}
        for moved in changes.poses:
            shown[moved.name].pose = moved.pose
        self._shown = number + 1, shown
        changes.server_id, changes.seq_num = self._id, number + 1
        changes.type = InteractiveMarkerUpdate.UPDATE
        self._said.publish(changes)

    def _on_get(self, _request, response):
        response.sequence_number, shown = self._shown
        response.markers = list(shown.values())
        return response

    def _on_feedback(self, said: InteractiveMarkerFeedback) -> None:
        if said.marker_name not in self._shown[1]:
            return  # clicked while it went
        if said.event_type == CLICK:
            self._on_click(said.marker_name)
        elif said.event_type == SELECT:
            self._on_select(said.marker_name, said.menu_entry_id)
