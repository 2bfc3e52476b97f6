# SPDX-License-Identifier: Apache-2.0
"""Bag equals live: frames of a bag, evaluated offline and played to the real world-model node.

Messages go out over DDS as they were recorded; only their stamps are moved to the present, which
is what `ros2 bag play` does with the clock.
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

from jepa_wm_ros.evaluation.offline.trial import PLANS_PER_SEED, ClipTrial, PlannerChoice  # noqa: E402
from jepa_wm_ros.recordings.bags.bag import Bag  # noqa: E402
from jepa_wm_ros.recordings.bags.findings import Findings  # noqa: E402
from jepa_wm_ros.recordings.bags.recording import ClipSettings, read_frames, read_recording  # noqa: E402
from jepa_wm_ros.recordings.bags.topics import TopicSpec  # noqa: E402
from jepa_wm_ros.ros.base.node import to_stamp  # noqa: E402
from jepa_wm_ros.ros.nodes.world_model import WorldModelNode  # noqa: E402
from jepa_wm_ros.ros.ports import ServiceScore  # noqa: E402
from jepa_wm_ros.world_model import load_world_model  # noqa: E402
from support.bags import make_bag  # noqa: E402
from support.ros_peers import call, ros, spinning, tiny_model  # noqa: E402

pytestmark = pytest.mark.ros

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

    def play(self, start: int, stop: int, now: int) -> int:
        """Play what was recorded in start ... stop; the message at `stop` gets the stamp `now`."""
        for topic, time, recorded in self.bag.messages(list(self.publishers), start, stop + 1):
            message = self.live(topic, recorded)
            message.header.stamp = to_stamp(now - stop + time)
            self.publishers[topic].publish(message)
        return now


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


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(('images', 'transport'), [('raw', 'raw'), ('jpeg', 'compressed')])
def test_the_node_and_the_evaluator_agree_on_latents_costs_and_plan(
    place, ros_domain, images, transport
):
    folder, model_file = place
    path = folder / images
    make_bag(path, seconds=5.0, images=images)
    recording = read_recording(path, TopicSpec(), ClipSettings(4.0, 3, 3))
    clip = recording.clips[CLIP]
    records = recording.timeline.records

    with Bag(path, Findings()) as bag:
        pictures = read_frames(bag, recording, [int(f) for f in clip.frames])
        frames = [pictures[int(f)] for f in clip.frames]
        choice = PlannerChoice.load(str(folder / 'profile.yaml'), 3)
        trial = ClipTrial(
            load_world_model(model_file, mode=choice.profile.mode), 'model', [choice], [SEED]
        )
        latents = [trial.encode(f, p) for f, p in zip(frames, clip.poses, strict=True)]
        offline = {
            row.planner: row for row in trial.rows('bag', CLIP, 0, clip, latents, frames, set())
        }

        # Generous ages: a loaded machine must not look like a dead camera.
        with ros(
            model=model_file,
            profile=folder / 'profile.yaml',
            threads=1,
            transport=transport,
            max_image_age=15.0,
            max_state_age=0.05,
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
                field = 'images' if transport == 'raw' else 'compressed'
                prepared = call(
                    client,
                    PrepareGoal,
                    'world_model/prepare_goal',
                    PrepareGoal.Request(**{field: [goal]}),
                )
                goal_id = prepared.goal_ids[0]

                now = client.get_clock().now().nanoseconds
                frame = int(records[clip.frames[0]])
                player.play(frame - 300_000_000, frame, now)
                heard = node.observations
                eventually(
                    lambda: (
                        heard.frame is not None
                        and heard.frame.stamp == now
                        and heard.pose_at(now, 0) is not None
                        and heard.gripper_at(now, 0) is not None
                    )
                )
                frozen = call(
                    client,
                    FreezeContext,
                    'world_model/freeze_context',
                    FreezeContext.Request(goal_id=goal_id),
                )
                assert frozen.image_stamp == to_stamp(now)

                live = node.session.contexts[frozen.context_id]
                assert torch.equal(live.context.visual, latents[0].visual)
                torch.testing.assert_close(
                    live.context.proprio, latents[0].proprio, rtol=1e-6, atol=1e-6
                )
                assert torch.equal(live.goal.visual, latents[-1].visual)
                assert frozen.distance == pytest.approx(offline['zero'].cost_start, rel=1e-6)

                score = ServiceScore(ServicePorts(client), frozen.context_id, 7)
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
