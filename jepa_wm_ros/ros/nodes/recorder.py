# SPDX-License-Identifier: Apache-2.0
"""Node `recorder`: keeps what camera and arm say as bags, take by take, however the arm is moved.

Hears   camera, hand pose and gripper, on the topics that `topics` describes
Says    ~/status (String; who comes late hears the last line), /diagnostics
Serves  ~/start, ~/stop (end the take and keep it), ~/keep (and begin the next), ~/redo (throw it
        away and begin again), ~/discard (throw it away, or the last one) (Trigger)

`dataset convert` makes episodes of the bags; `train` and `evaluate_bag` read them as they are.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from std_msgs.msg import String
from std_srvs.srv import Trigger

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.recordings.bags.takes import Takes, cadence
from jepa_wm_ros.recordings.topics import Topic, TopicSpec, live_topics
from jepa_wm_ros.ros import camera_topic
from jepa_wm_ros.ros.base.convert import message_class
from jepa_wm_ros.ros.base.diagnostics import Diagnostics
from jepa_wm_ros.ros.base.node import NodeBase
from jepa_wm_ros.ros.base.qos import LATCHED, quality_of
from jepa_wm_ros.ros.base.run import leave, run

MOST_WAITING = 100  # messages on their way to the disk; more are dropped, and told
SILENT_SECONDS = 1.0  # without a picture


class Recorder(NodeBase):
    """Messages are written by a worker thread, as they came: nothing is taken apart."""

    def __init__(self) -> None:
        super().__init__('recorder')
        fixed = {'read_only': True}
        self.declare('out', 'takes', 'Folder of the bags.', **fixed)
        self.declare(
            'topics',
            'cell',
            'What camera, hand pose and gripper are called: a name in config/topics or a file.',
            **fixed,
        )
        camera_topic.declare(self)

    # What it allocates

    def setup(self) -> None:
        chosen = live_topics(TopicSpec.load(self.value('topics')))
        self._chosen = replace(chosen, image=camera_topic.heard(self, chosen.image))
        self._kinds = {topic.name: message_class(topic.kind) for topic in self._chosen.all}
        self._takes = Takes(Path(self.value('out')).expanduser())
        self.worker = self.create_worker('disk')
        self.judge = self.create_worker('judge')  # reads what has ended while the next is written

    def start(self) -> None:
        self._waiting = self._dropped = 0
        self._failure = ''
        self._pictured = time.monotonic()
        self._topics = [
            Topic(self.resolve_topic_name(topic.name), topic.kind) for topic in self._chosen.all
        ]
        image, pose, gripper = self._chosen.image, self._chosen.pose, self._chosen.gripper
        self._spec = replace(
            self._chosen.spec,
            image=self.resolve_topic_name(image.name),
            pose=self.resolve_topic_name(pose.name),
            gripper=self.resolve_topic_name(gripper.name) if gripper else '',
        )
        self._status = self.create_publisher(String, '~/status', LATCHED)
        for topic in self._chosen.all:
            heard = partial(self._on_message, self.resolve_topic_name(topic.name))
            self.create_subscription(
                self._kinds[topic.name],
                topic.name,
                heard,
                quality_of(topic.name, self._chosen),
                raw=True,
            )
        for name, work in (
            ('start', lambda: (self._begin(), None)),
            ('stop', lambda: ('', self._takes.end())),
            ('keep', self._keep_take),
            ('redo', lambda: (f'{self._discard()}; {self._begin()}', None)),
            ('discard', lambda: (self._discard(), None)),
        ):
            self.create_service(Trigger, f'~/{name}', partial(self._on_word, work))
        self.add_part('take', self._take_state)

    def halt(self) -> None:
        if self._takes.name:
            self.worker.call(self._takes.end)

    # What it hears

    def _on_message(self, topic: str, message: bytes) -> None:
        if topic == self._spec.image:
            self._pictured = time.monotonic()
        if not self._takes.name:
            return
        if self._waiting >= MOST_WAITING:
            self._dropped += 1
            return
        self._waiting += 1
        self.worker.submit(self._write, topic, self.now_ns(), message)

    # What it serves

    async def _on_word(self, work, _request, response):
        """Do the work, which returns what is to be said of it and the bag that ended with it."""
        try:
            said, bag = await self.worker.submit(work)
            told = f'{bag.name}: {await self.judge.submit(cadence, bag, self._spec)}' if bag else ''
            response.message = '; '.join(filter(None, (told, said)))
            response.success = True
        except JepaWmError as error:
            response.success, response.message = False, str(error)
        self._status.publish(String(data=response.message))
        return response

    # What runs in the worker

    def _begin(self) -> str:
        self._takes.begin(self._topics)
        self._failure, self._dropped, self._begun = '', 0, time.monotonic()
        return f'recording {self._takes.name}'

    def _write(self, topic: str, stamp: int, message: bytes) -> None:
        self._waiting -= 1
        try:
            self._takes.write(topic, stamp, message)
        except JepaWmError as error:
            self._failure = str(error)
            self.errors.tell(error, 'take')

    def _keep_take(self) -> tuple[str, Path]:
        bag = self._takes.end()
        return self._begin(), bag

    def _discard(self) -> str:
        return f'{self._takes.discard()} is thrown away'

    # What it says of itself

    def _take_state(self):
        name = self._takes.name
        values = {'kept': len(self._takes.kept), 'messages_dropped': self._dropped}
        if self._failure:
            return Diagnostics.ERROR, self._failure, values
        if self._dropped:
            return Diagnostics.WARN, 'the disk is too slow: messages are missing', values
        if time.monotonic() - self._pictured > SILENT_SECONDS:
            return Diagnostics.WARN, f'no picture on {self._spec.image}', values
        if not name:
            return Diagnostics.OK, 'no take is being recorded', values
        seconds = time.monotonic() - self._begun
        return Diagnostics.OK, f'recording {name}, {seconds:.0f} s', values


def main(args: list[str] | None = None) -> None:
    """Run the node until it is interrupted."""
    leave(run(Recorder, args))
