# SPDX-License-Identifier: Apache-2.0
"""What a live node has seen last: the newest frame, and the newest one with the arm's state.

Stamps are integer nanoseconds of the node's clock. Nothing here imports ROS.
"""

from __future__ import annotations

from jepa_wm_ros.recordings.listener import Listener, Report
from jepa_wm_ros.recordings.streams import NS, Observation
from jepa_wm_ros.recordings.topics import ChosenTopics

FUTURE_TOLERANCE = NS // 10  # a stamp may be this far ahead of the node's clock


class LiveObservations:
    """Hears the chosen topics and keeps the newest of what they show.

    frame     the newest frame, its state not asked for; None before the first
    observed  the newest frame with the arm's state at its stamp
    refused   why the frame heard or matched last is not used; empty when it is
    """

    def __init__(
        self, topics: ChosenTopics, max_gap: int, patience: int, report: Report | None = None
    ) -> None:
        """max_gap, patience [ns]: see `Streams`."""
        self.topics = topics
        self.frame: Observation | None = None
        self.observed: Observation | None = None
        self.refused = ''
        self._listener = Listener(topics, max_gap, patience, report)

    def hear(self, topic: str, message, now: int) -> list[Observation]:
        """Take a message of one of the topics; the frames that are matched or refused by it."""
        streams = self._listener.streams
        if is_frame := topic == self.topics.image.name:
            stamp = self._listener.stamp_of(topic, message, now)
            if stamp > now + FUTURE_TOLERANCE:
                self.refused = f'image stamp is {(stamp - now) / NS:.3f} s in the future'
                return []
        matched = self._listener.hear(topic, message, now)
        if is_frame:
            self.frame = Observation(stamp, now, message, streams.clock)
            if self.observed and self.observed.clock != streams.clock:
                self.observed = None
        for frame in matched:
            if frame.clock == streams.clock:  # not one of before the clock was set back
                self.refused = frame.refused
                self.observed = frame if frame.state else self.observed
        return matched

    def newest_frame(self, not_before: int, now: int, max_age: int) -> Observation | None:
        """The newest frame if it is stamped after `not_before` and at most `max_age` old [ns]."""
        return _fresh(self.frame, not_before, now, max_age)

    def observation(self, not_before: int, now: int, max_age: int) -> Observation | None:
        """The newest frame with a state, if stamped after `not_before` and at most `max_age` old.

        A frame has to wait for the states around it, so this is not always the newest frame.
        """
        return _fresh(self.observed, not_before, now, max_age)

    def missing(self, stamp: int) -> tuple[str, ...]:
        """The topics that do not give a state at `stamp`."""
        return tuple(getattr(self.topics, r).name for r in self._listener.streams.missing(stamp))


def _fresh(frame: Observation | None, after: int, now: int, max_age: int) -> Observation | None:
    if frame is None or frame.stamp <= after:
        return None
    return frame if -FUTURE_TOLERANCE <= now - frame.stamp <= max_age else None
