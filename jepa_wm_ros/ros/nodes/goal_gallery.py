# SPDX-License-Identifier: Apache-2.0
"""Node `goal_gallery`: the goal library as pictures to click in RViz.

Hears   camera, hand pose and gripper, on the topics and in the types that `topics` describes;
        camera_info, joint_states, ee_pose, clicked_point (PointStamped), ~/feedback
Says    ~/update (interactive markers), ~/scene (MarkerArray: outlines and status text), ~/arm
        (Marker), ~/preview and ~/goal (Image), ~/status (String), /tf (the hand), /diagnostics
Serves  ~/get_interactive_markers; ~/capture, ~/plan, ~/append, ~/delete, ~/list, ~/stop, ~/recover
        (Trigger, for viewers without such markers, on the goal that is previewed)
Asks    action reach_goal, planner/get_state, franka_controller/stop, franka_controller/recover

Two steps before a motion: a goal is previewed, then planned to. The controller is asked to stop or
recover at once; all else that people do is done in one worker thread, in its order.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from geometry_msgs.msg import PointStamped, PoseStamped
from jepa_wm_msgs.action import ReachGoal
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future
from sensor_msgs.msg import Image
from std_msgs.msg import String
from std_srvs.srv import Trigger
from visualization_msgs.msg import Marker, MarkerArray

from jepa_wm_ros import ros_image
from jepa_wm_ros.errors import FaultCode, JepaWmError
from jepa_wm_ros.fr3 import ARMS, FR3, arm_named
from jepa_wm_ros.goals.gallery import Gallery, Shown
from jepa_wm_ros.goals.goal import check_name
from jepa_wm_ros.goals.library import FOLDER, GoalLibrary
from jepa_wm_ros.goals.thumbnail import button
from jepa_wm_ros.recordings.topics import TopicSpec, live_topics
from jepa_wm_ros.ros import camera_topic
from jepa_wm_ros.ros import gallery_scene as look
from jepa_wm_ros.ros.base.diagnostics import Diagnostics
from jepa_wm_ros.ros.base.faults import one_line
from jepa_wm_ros.ros.base.node import NodeBase
from jepa_wm_ros.ros.base.qos import LATCHED, STATES
from jepa_wm_ros.ros.base.run import leave, run
from jepa_wm_ros.ros.frames import FrameSpeaker, transform
from jepa_wm_ros.ros.goal_camera import GoalCamera
from jepa_wm_ros.ros.interactive_markers import MarkerServer
from jepa_wm_ros.ros.reach_client import ReachClient

CONTROLLER = {'stop': 'stopped', 'recover': 'recovered'}  # what it is asked for, and has done
BUTTON = '_'  # before the name of a button's marker: no goal's name begins so
LOOK_SECONDS = 2.0  # how often the folder is looked at: others change it too
ARM_SECONDS = 0.1  # how often the arm is drawn
OUTLINES = ((look.YELLOW, 0.0), (look.BLUE, 0.006), (look.GREEN, 0.012))  # colour, margin [m]


class GoalGallery(NodeBase):
    """Callbacks hand over to the worker, which owns the gallery and draws it."""

    def __init__(self) -> None:
        super().__init__('goal_gallery')
        fixed = {'read_only': True}
        self.declare('library', FOLDER, 'Folder of the goals; made with the first one.', **fixed)
        self.declare(
            'topics',
            'cell',
            'What camera, hand pose and gripper are called: a name in config/topics or a file.',
            **fixed,
        )
        camera_topic.declare(self)
        self.declare('arm', FR3.name, 'Model of the arm.', choices=tuple(ARMS), **fixed)
        self.declare(
            'arm_prefix', '', 'What the names of its frames begin with, as in left_.', **fixed
        )
        self.declare('new_name', '', 'Name that capture and rename give; empty: goal, goal_2, ...')
        self.check('new_name', by=lambda name: name and check_name(name))

    # What it allocates

    def setup(self) -> None:
        topics = live_topics(TopicSpec.load(self.value('topics')))
        self._topics = replace(topics, image=camera_topic.heard(self, topics.image))
        self._arm = arm_named(self.value('arm'), self.value('arm_prefix'))
        self._frame = self._arm.base_frame
        self._hand = f'{self._arm.prefix}{self._arm.name}_measured_tcp'

    def start(self) -> None:
        self.worker = self.create_worker('gallery')
        self.camera = GoalCamera(self, self._topics, self._frame)
        self.reach = ReachClient(self, self._on_feedback, self._on_end)
        self.gallery = Gallery(GoalLibrary(self.value('library')), self.camera)
        self.markers = MarkerServer(self, '~', self._on_click, self._on_select)
        self._places: dict[str, int] = {}
        self._status = ''
        self._pictures: dict[str, Shown | None] = {'preview': None, 'goal': None}
        self._complained: set[str] = set()
        self._said = {
            'scene': self.create_publisher(MarkerArray, '~/scene', LATCHED),
            'arm': self.create_publisher(Marker, '~/arm', 1),
            'preview': self.create_publisher(Image, '~/preview', LATCHED),
            'goal': self.create_publisher(Image, '~/goal', LATCHED),
            'status': self.create_publisher(String, '~/status', LATCHED),
        }
        self._tf = FrameSpeaker(self, fixed=False)
        self.create_subscription(PointStamped, 'clicked_point', self._on_point, 1)
        self.create_subscription(PoseStamped, 'ee_pose', self._on_hand, STATES)
        group = ReentrantCallbackGroup()  # who waits for the worker must not hold up a stop
        for name in ('capture', 'plan', 'append', 'delete', 'list'):
            self.create_service(
                Trigger, f'~/{name}', partial(self._on_service, name), callback_group=group
            )
        for name in CONTROLLER:
            self.create_service(
                Trigger,
                f'~/{name}',
                partial(self._on_controller_service, name),
                callback_group=group,
            )
        self.create_steady_timer(LOOK_SECONDS, lambda: self._later(self._draw))
        self.create_steady_timer(ARM_SECONDS, self._draw_arm)
        self._later(self._begin)
        self.add_part('gallery', self._state)

    def halt(self) -> None:
        self.reach.close()

    # What it hears

    def _on_click(self, marker: str) -> None:
        if marker.startswith(BUTTON):
            self._ask(marker.removeprefix(BUTTON))
        else:
            self._ask('preview', marker)

    def _on_select(self, marker: str, entry: int) -> None:
        if action := look.ACTIONS.get(entry):
            self._ask(action, marker)

    def _on_point(self, point: PointStamped) -> None:
        where = point.point
        self._later(
            self._do,
            partial(
                self.gallery.preview_nearest, (where.x, where.y, where.z), point.header.frame_id
            ),
        )

    def _on_hand(self, hand: PoseStamped) -> None:
        if hand.header.frame_id == self._frame:
            self._tf.say(transform(self._frame, self._hand, hand.pose, hand.header.stamp))

    def _ask(self, action: str, goal: str = '') -> None:
        """What a click or a menu asks for; what it comes to is told by the status."""
        if action in CONTROLLER:
            try:
                self._ask_controller(action).add_done_callback(
                    lambda done: self._later(self._draw, told(action, done.result()))
                )
            except JepaWmError as error:
                self._later(self._draw, one_line(error))
        else:
            self._later(self._do, self._step(action, goal))

    def _on_feedback(self, said: ReachGoal.Feedback) -> None:
        if said.phase in (said.MOVING, said.REACHED):
            line = f'step {said.step}: distance {said.cost:.3f}, best {said.best_cost:.3f}'
            self._later(self._progress, said.goal_index, line)

    def _on_end(self, code: FaultCode, line: str) -> None:
        self._later(self._end, code, line)

    # What it serves

    async def _on_service(self, action: str, _request, response):
        response.message = await self.worker.submit(self._checked, self._step(action, ''))
        response.success = True
        return response

    async def _on_controller_service(self, action: str, _request, response):
        answer = await self._ask_controller(action)
        self._later(self._draw, told(action, answer))
        response.success, response.message = answer.success, answer.message
        return response

    def _ask_controller(self, action: str) -> Future:
        if action == 'recover':
            return self.reach.recover()
        self._later(self.gallery.stop)
        return self.reach.stop()

    def _step(self, action: str, goal: str):
        """An action as a function without arguments, as it is asked for now."""
        gallery, name = self.gallery, self.value('new_name')
        return {
            'preview': partial(gallery.preview, goal),
            'plan': partial(gallery.plan, goal, partial(self.reach.begin, stops=self.reach.stops)),
            'append': partial(gallery.append, goal),
            'capture': partial(gallery.capture, name),
            'rename': partial(gallery.rename, goal, name),
            'delete': partial(gallery.delete, goal),
            'list': gallery.names,
        }[action]

    # What runs in the worker

    def _later(self, step, *args) -> None:
        """Have the worker do something that nobody waits for."""
        self.worker.submit(step, *args).add_done_callback(self._judge)

    def _judge(self, done: Future) -> None:
        if (error := done.exception()) is not None:
            self.errors.tell(error, 'gallery')

    def _begin(self) -> None:
        for index, (name, colour) in enumerate(look.BUTTONS.items()):
            place = look.place_of_button(index, len(look.BUTTONS))
            picture = button(name, colour)
            self.markers.put(
                look.clickable(BUTTON + name, picture, look.BUTTON, place, self._frame)
            )
        self._draw('preview a goal, then plan to it')

    def _do(self, step) -> None:
        """Do what somebody who cannot be answered has asked for."""
        try:
            self._checked(step)
        except JepaWmError:
            pass  # the status tells

    def _checked(self, step) -> str:
        try:
            line = step()
        except JepaWmError as error:
            self._draw(one_line(error))
            raise
        self._draw(line)
        return line

    def _progress(self, index: int, line: str) -> None:
        self.gallery.arrive(index)
        self._draw(line)

    def _end(self, code: FaultCode, line: str) -> None:
        self.gallery.end(code is FaultCode.SUCCEEDED)
        self._draw(line)

    def _draw(self, status: str | None = None) -> None:
        """Show what has changed, in the folder or by what was done, and a new status."""
        gallery = self.gallery
        changes = gallery.reload()
        for line in set(gallery.complaints) - self._complained:
            self.get_logger().warning(line)
        self._complained = set(gallery.complaints)
        places = {name: index for index, name in enumerate(gallery.goals)}
        for name in changes.gone:
            self.markers.erase(name)
        for name, index in places.items():
            place = look.place_of_goal(index)
            if name in changes.new:
                picture = changes.new[name]
                self.markers.put(
                    look.clickable(name, picture, look.PICTURE, place, self._frame, menu=True)
                )
            elif self._places.get(name) != index:
                self.markers.move(name, place)
        self._places = places
        self.markers.apply()
        if status is not None:
            self._status = status
            self.get_logger().info(status)
            self._said['status'].publish(String(data=status))
        elif not (changes.new or changes.gone):
            return
        self._show('preview', gallery.previewed)
        self._show('goal', gallery.sought[0] if gallery.sought else None)
        self._said['scene'].publish(look.scene(self._frame, places, self._outlines(), self._status))

    def _outlines(self):
        gallery = self.gallery
        chosen = (
            [gallery.previewed] if gallery.previewed else [],
            gallery.sequence,
            gallery.sought[:1],
        )
        for shown, (colour, margin) in zip(chosen, OUTLINES, strict=True):
            for name in dict.fromkeys(each.goal.name for each in shown):
                yield look.Outline(name, colour, margin)

    def _show(self, where: str, shown: Shown | None) -> None:
        if shown is not None and shown is not self._pictures[where]:
            image = ros_image.fill_image(Image(), shown.picture, 'rgb8')
            image.header.frame_id = shown.goal.view.camera
            image.header.stamp = self.get_clock().now().to_msg()
            self._said[where].publish(image)
        self._pictures[where] = shown

    # What it says of itself

    def _draw_arm(self) -> None:
        if self.camera.joints is not None:
            self._said['arm'].publish(look.arm_line(self._frame, self._arm, self.camera.joints))

    def _state(self):
        values = {'goals': len(self._places), 'status': self._status, 'busy': self.reach.busy}
        if complaints := self.gallery.complaints:
            return Diagnostics.WARN, '; '.join(complaints[:5]), values
        return Diagnostics.OK, 'ready', values


def told(action: str, answer: Trigger.Response) -> str:
    """What the controller's answer says to people."""
    done = CONTROLLER[action] if answer.success else f'not {CONTROLLER[action]}'
    return f'{done}: {answer.message or "no reason told"}'


def main(args: list[str] | None = None) -> None:
    """Run the node until it is interrupted."""
    leave(run(GoalGallery, args))
