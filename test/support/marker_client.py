# SPDX-License-Identifier: Apache-2.0
"""A viewer of interactive markers that does what RViz 2 does: asks, follows, clicks."""

from __future__ import annotations

import threading
import time

import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import String
from visualization_msgs.msg import (
    InteractiveMarker,
    InteractiveMarkerFeedback,
    InteractiveMarkerUpdate,
    MarkerArray,
)
from visualization_msgs.srv import GetInteractiveMarkers

from support.ros_peers import TIMEOUT, meet, wait

SERVER = 'goal_gallery'
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Viewer:
    """Sees the markers of goal_gallery by their names, and all that it says besides."""

    def __init__(self, name: str) -> None:
        self.node = rclpy.create_node(name)
        self.markers: dict[str, InteractiveMarker] = {}
        self.updates: list[InteractiveMarkerUpdate] = []
        self.missed = 0  # updates that did not come
        self.said: list[str] = []
        self.preview = self.goal = self.scene = None
        self._number: int | None = None  # of the last update; None before the first answer
        self.news = threading.Condition()
        self.node.create_subscription(
            InteractiveMarkerUpdate, f'{SERVER}/update', self._on_update, 100
        )
        self._feedback = self.node.create_publisher(
            InteractiveMarkerFeedback, f'{SERVER}/feedback', 1
        )
        self._get = self.node.create_client(
            GetInteractiveMarkers, f'{SERVER}/get_interactive_markers'
        )
        for kind, topic, take in (
            (String, 'status', lambda message: self.said.append(message.data)),
            (Image, 'preview', lambda message: setattr(self, 'preview', message)),
            (Image, 'goal', lambda message: setattr(self, 'goal', message)),
            (MarkerArray, 'scene', lambda message: setattr(self, 'scene', message)),
        ):
            self.node.create_subscription(kind, f'{SERVER}/{topic}', self._taking(take), LATCHED)

    def begin(self) -> None:
        """Ask for all markers, and wait until clicks arrive; the node spins in another thread."""
        assert self._get.wait_for_service(TIMEOUT)
        answer = wait(self._get.call_async(GetInteractiveMarkers.Request()))
        with self.news:
            self.markers = {marker.name: marker for marker in answer.markers}
            self._number = answer.sequence_number
            for update in self.updates:
                self._follow(update)
        meet(self.node, SERVER)
        self.until(self._feedback.get_subscription_count)

    def click(self, marker: str) -> None:
        """A left click, once the marker is seen: all that RViz says of one."""
        self._sees(marker)
        kind = InteractiveMarkerFeedback
        for event in (
            kind.POSE_UPDATE,
            kind.MOUSE_DOWN,
            kind.BUTTON_CLICK,
            kind.POSE_UPDATE,
            kind.MOUSE_UP,
        ):
            self._tell(marker, event)

    def select(self, marker: str, *titles: str) -> None:
        """Choose an entry of a marker's menu, once the marker is seen, by its title and those it is
        under.
        """
        entries, under = self._sees(marker).menu_entries, 0
        for title in titles:
            (under,) = (e.id for e in entries if (e.title, e.parent_id) == (title, under))
        self._tell(marker, InteractiveMarkerFeedback.MENU_SELECT, under)

    def _sees(self, marker: str) -> InteractiveMarker:
        """The marker, which an update that is on its way may bring."""
        return self.until(lambda: self.markers.get(marker))

    def until(self, condition, timeout: float = TIMEOUT):
        """Wait until a condition holds, which nobody need announce; returns what it gives."""
        deadline = time.monotonic() + timeout
        with self.news:
            while not (seen := condition()):
                assert time.monotonic() < deadline, (self.said[-5:], sorted(self.markers))
                self.news.wait(0.05)
        return seen

    def hears(self, words: str, since: int = 0) -> str:
        """The first status from number `since` on that holds these words."""
        return self.until(lambda: next((s for s in self.said[since:] if words in s), None))

    def _tell(self, marker: str, event: int, entry: int = 0) -> None:
        self._feedback.publish(
            InteractiveMarkerFeedback(
                client_id='/rviz',
                marker_name=marker,
                control_name='picture',
                event_type=event,
                menu_entry_id=entry,
                mouse_point_valid=True,
            )
        )

    def _taking(self, take):
        def taken(message) -> None:
            with self.news:
                take(message)
                self.news.notify_all()

        return taken

    def _on_update(self, update: InteractiveMarkerUpdate) -> None:
        with self.news:
            self.updates.append(update)
            if self._number is not None:
                self._follow(update)
            self.news.notify_all()

    def _follow(self, update: InteractiveMarkerUpdate) -> None:
        if update.seq_num <= self._number:
            return
        self.missed += update.seq_num - self._number - 1
        self._number = update.seq_num
        for marker in update.markers:
            self.markers[marker.name] = marker
        for moved in update.poses:
            self.markers[moved.name].pose = moved.pose
        for name in update.erases:
            del self.markers[name]
