# SPDX-License-Identifier: Apache-2.0
"""Bag equals live: frames of a bag, evaluated offline and played to the real world-model node.

Messages go out over DDS as they were recorded; only their stamps are moved to the present, which
is what `ros2 bag play` does with the clock. Frames lie between states, and one is asked for before
the state after it was heard.
"""

import threading

import numpy as np
import pytest
import torch

pytest.importorskip('jepa_wm_msgs', reason='needs the ROS interfaces (make setup)')

import rclpy  # noqa: E402
from geometry_msgs.msg import PoseStamped  # noqa: E402
from jepa_wm_msgs.srv import FreezeContext, PrepareGoal, ScoreActions  # noqa: E402
from sensor_msgs.msg import CompressedImage, Image, JointState  # noqa: E402

from jepa_wm_ros.control.ports import Observation  # noqa: E402
from jepa_wm_ros.evaluation.offline.trial import PLANS_PER_SEED, ClipTrial, PlannerChoice  # noqa: E402
from jepa_wm_ros.recordings.bags.bag import Bag  # noqa: E402
from jepa_wm_ros.recordings.bags.choice import choose_topics  # noqa: E402
from jepa_wm_ros.recordings.bags.findings import Findings  # noqa: E402
from jepa_wm_ros.recordings.bags.recording import read_frames, read_recording  # noqa: E402
from jepa_wm_ros.recordings.clips import ClipSettings  # noqa: E402
from jepa_wm_ros.recordings.streams import NS, STATE_GAP  # noqa: E402
from jepa_wm_ros.recordings.timeline import read_timeline  # noqa: E402
from jepa_wm_ros.recordings.topics import TopicSpec  # noqa: E402
from jepa_wm_ros.ros.base.convert import to_ns, to_pose7, to_stamp  # noqa: E402
from jepa_wm_ros.ros.nodes.world_model import WorldModelNode  # noqa: E402
from jepa_wm_ros.ros.ports import ServiceScore  # noqa: E402
from jepa_wm_ros.world_model import load_world_model  # noqa: E402
from support.bags import MS, START, make_bag, pose_at, write_messages  # noqa: E402
from support.ros_peers import call, ros, spinning, tiny_model, wait  # noqa: E402

pytestmark = [pytest.mark.ros, pytest.mark.usefixtures('one_thread')]

PROFILE = """
planner: cem
mode: exact
settings: {horizon: 3, iterations: 3, num_samples: 12, num_elites: 4, var_scale: 0.05,
           max_norms: [0.075], max_norm_dims: [[0, 1, 2]], frozen_dims: [3, 4, 5], seed: 1}
"""
SEED, CLIP = 7, 2
KINDS = {
    '/image': ('image', Image),
    '/image/compressed': ('image/compressed', CompressedImage),
    '/ee_pose': ('ee_pose', PoseStamped),
    '/joint_states': ('joint_states', JointState),
}


class Player:
    """Plays messages of a bag over DDS."""

    def __init__(self, bag: Bag):
        self.node = rclpy.create_node('player')
        self.bag = bag
        self.publishers = {
            topic: self.node.create_publisher(kind, name, 5)
            for topic, (name, kind) in KINDS.items()
            if topic in bag.topics
        }

    def live(self, topic: str, recorded):
        """A recorded message as rclpy has it, with the stamp it was recorded with."""
        kind = KINDS[topic][1]
        message = kind()
        copy(recorded, message)
        return message

    def play(self, start: int, stop: int, shift: int, after_each=lambda: None) -> None:
        """Play what was recorded in start <= time < stop [ns], with stamps moved by `shift`."""
        for topic, _, recorded in self.bag.messages(list(self.publishers), start, stop):
            message = self.live(topic, recorded)
            message.header.stamp = to_stamp(to_ns(message.header.stamp) + shift)
            self.publishers[topic].publish(message)
            after_each()


def copy(recorded, message) -> None:
    """Copy the fields of a rosbags message into one of rclpy."""
    for name in message.get_fields_and_field_types():
        value, own = getattr(recorded, name), getattr(message, name)
        if hasattr(own, 'get_fields_and_field_types'):
            copy(value, own)
        else:
            setattr(message, name, value.tolist() if isinstance(value, np.ndarray) else value)


class ServicePorts:
    """What ServiceScore asks of the planner node's ports."""

    def __init__(self, node):
        self.node = node

    def ask(self, name, request):
        assert name == 'score_actions'
        return call(self.node, ScoreActions, 'world_model/score_actions', request)


def eventually(condition, timeout=20.0):
    """Wait until `condition()` holds."""
    never = threading.Event()
    for _ in range(round(timeout / 0.02)):
        if condition():
            return
        never.wait(0.02)
    raise AssertionError('did not come about in time')


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp('live')
    model = tiny_model(folder)
    (folder / 'profile.yaml').write_text(PROFILE)
    return folder, model


@pytest.mark.parametrize(('images', 'topics'), [('raw', 'cell'), ('jpeg', 'cell_compressed')])
def test_the_node_and_the_evaluator_agree_on_latents_costs_and_plan(
    place, ros_domain, images, topics
):
    folder, model_file = place
    path = folder / images
    make_bag(path, seconds=5.0, images=images, image_delay=0.013)
    recording = read_recording(path, TopicSpec(), ClipSettings(4.0, 3, 3))
    clip = recording.clips[CLIP]
    records = recording.timeline.records

    with Bag(path, Findings()) as bag:
        pictures = read_frames(bag, recording, [int(f) for f in clip.frames])
        frames = [pictures[int(f)] for f in clip.frames]
        choice = PlannerChoice.load(str(folder / 'profile.yaml'), 3)
        trial = ClipTrial(load_world_model(model_file), 'model', [choice], [SEED])
        latents = [trial.encode(f, p) for f, p in zip(frames, clip.poses, strict=True)]
        offline = {
            row.planner: row for row in trial.rows('bag', CLIP, 0, clip, latents, frames, set())
        }

        # Generous ages: a loaded machine must not look like a dead camera.
        with ros(
            model=model_file,
            profile=folder / 'profile.yaml',
            threads=1,
            topics=topics,
            max_image_age=15.0,
        ):
            node, player, client = WorldModelNode(), Player(bag), rclpy.create_node('client')
            with spinning(node, player.node, client):
                assert node.trigger_configure().name == 'SUCCESS'
                assert node.trigger_activate().name == 'SUCCESS'
                eventually(
                    lambda: all(p.get_subscription_count() for p in player.publishers.values())
                )

                goal_record = int(records[clip.frames[-1]])
                recorded_goal = next(
                    iter(bag.messages([recording.topics.image.name], goal_record, goal_record + 1))
                )
                goal = player.live(recording.topics.image.name, recorded_goal.content)
                field = 'images' if images == 'raw' else 'compressed'
                prepared = call(
                    client,
                    PrepareGoal,
                    'world_model/prepare_goal',
                    PrepareGoal.Request(**{field: [goal]}),
                )
                goal_id = prepared.goal_ids[0]

                frame = int(records[clip.frames[0]])
                shift = client.get_clock().now().nanoseconds - frame
                player.play(frame - 300_000_000, frame + 1, shift)
                eventually(
                    lambda: (
                        node.observations.frame is not None
                        and node.observations.frame.stamp == frame + shift
                    )
                )
                request = FreezeContext.Request(
                    goal_id=goal_id, not_before=to_stamp(frame + shift - 1)
                )
                asked = client.create_client(FreezeContext, 'world_model/freeze_context')
                answer = asked.call_async(request)
                eventually(lambda: node._requests)
                player.play(frame + 1, frame + 40_000_000, shift)
                frozen = wait(answer)
                assert frozen.error_code == 0, frozen.error_msg
                assert frozen.image_stamp == to_stamp(frame + shift)
                np.testing.assert_allclose(
                    to_pose7(frozen.pose, frozen.gripper), clip.poses[0], atol=1e-9
                )

                live = node.session.contexts[frozen.context_id]
                assert torch.equal(live.context.visual, latents[0].visual)
                torch.testing.assert_close(
                    live.context.proprio, latents[0].proprio, rtol=1e-6, atol=1e-6
                )
                assert torch.equal(live.goal.visual, latents[-1].visual)
                assert frozen.distance == pytest.approx(offline['zero'].cost_start, rel=1e-6)

                seen = Observation(frozen.context_id, frame, clip.poses[0], frozen.distance)
                score = ServiceScore(ServicePorts(client), seen, 7)
                planner = str(folder / 'profile.yaml')
                for name in ('expert', 'zero', 'random', planner):
                    actions = torch.tensor(offline[name].planned).reshape(1, 3, 7).float()
                    assert float(score(actions)[0]) == pytest.approx(offline[name].cost, rel=1e-4)

                plan = choice.profile.make_planner().plan(score, index=SEED * PLANS_PER_SEED + CLIP)
                np.testing.assert_allclose(
                    plan.actions.numpy().ravel(), offline[planner].planned, atol=1e-5
                )
                assert plan.evaluations == offline[planner].evaluations
            node.close()
            for each in (node, player.node, client):
                each.destroy_node()


def joints_only(folder):
    """A description as config/topics/robotiq.yaml's: all of the arm in its joint states."""
    path = folder / 'joints.yaml'
    path.write_text(
        'image: image\npose: joint_states\npose_type: sensor_msgs/msg/JointState\n'
        'gripper: joint_states\ngripper_joints: [fr3_finger_joint1]\n'
        'gripper_open: 0.04\ngripper_closed: 0.0\n'
    )
    return path


def arm_at(seconds: float) -> np.ndarray:
    """Joint angles (7,) of an arm in motion [rad]."""
    return np.array([0.3 * seconds, -0.785, 0.0, -2.356, 0.1 * seconds, 1.571, 0.785])


def irregular_messages():
    """Frames before, between and after states and in gaps of them, with late states among them."""
    states = [ms for ms in range(50, 3000, 33) if not 900 < ms < 1300 and not 2000 < ms < 2150]
    events = [(ms, role, ms) for ms in states for role in ('pose', 'joints')]
    events += [(ms + 45, 'image', ms) for ms in range(0, 3000, 70)]
    events += [(ms + 70, role, ms) for ms in (411, 1611) for role in ('pose', 'joints')]
    return [
        (role, START + ms * MS, START + heard * MS, pose_at(ms / 1000))
        for heard, role, ms in sorted(events)
    ]


@pytest.mark.parametrize('description', [lambda folder: 'cell', joints_only])
def test_every_frame_of_a_bag_has_live_the_state_it_has_in_the_bag_or_none_in_both(
    place, tmp_path, ros_domain, description
):
    topics, path = description(tmp_path), tmp_path / 'bag'
    write_messages(path, irregular_messages(), arm_at)
    with Bag(path, Findings()) as bag:
        chosen = choose_topics(bag, TopicSpec.load(topics))
        timeline = read_timeline(bag, chosen, STATE_GAP)
        refused = np.isnan(timeline.poses).any(1)
        assert 4 < refused.sum() < len(refused) - 20
        with ros(model=place[1], threads=1, topics=topics, max_image_age=15.0):
            node, player = WorldModelNode(), Player(bag)
            with spinning(node, player.node):
                assert node.trigger_configure().name == 'SUCCESS'
                assert node.trigger_activate().name == 'SUCCESS'
                player.publishers = {  # what nobody listens to would never be heard
                    topic.name: player.publishers[topic.name] for topic in chosen.all
                }
                eventually(
                    lambda: all(p.get_subscription_count() for p in player.publishers.values())
                )
                heard, frames, hear = threading.Event(), [], node.observations.hear

                def listen(*message):
                    frames.extend(hear(*message))
                    heard.set()
                    return []

                def wait_for_it():
                    assert heard.wait(20.0)
                    heard.clear()

                node.observations.hear = listen
                end = int(timeline.records[-1]) + NS
                shift = player.node.get_clock().now().nanoseconds - end
                player.play(START, end, shift, wait_for_it)
                frames += node.observations._listener.streams.finish()
            node.close()
            for each in (node, player.node):
                each.destroy_node()
    assert [frame.stamp - shift for frame in frames] == timeline.stamps.tolist()
    assert [frame.state is None for frame in frames] == refused.tolist()
    for frame, pose7 in zip(frames, timeline.poses, strict=True):
        if frame.state is not None:
            np.testing.assert_allclose(frame.state.pose7, pose7, atol=1e-9)
