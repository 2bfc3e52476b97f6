# SPDX-License-Identifier: Apache-2.0
"""What the `score` service costs on top of the in-process call, for 300 x 3 x 7 actions.

    python -m jepa_wm_ros.ros.bench_score [--model NAME] [--calls 40]

Starts the world-model node as its own process, feeds it a picture and an arm state, and calls it
in turns with the same model in this process. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import threading
import time

import numpy as np
import rclpy
import torch
from geometry_msgs.msg import PoseStamped
from jepa_wm_msgs.srv import DescribeModel
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import Image, JointState

from jepa_wm_ros import ros_image
from jepa_wm_ros.bringup import plan_processes
from jepa_wm_ros.control.session import ModelSession
from jepa_wm_ros.dds import dds_environment
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.processes import ProcessGroup
from jepa_wm_ros.ros.base.node import NodeBase
from jepa_wm_ros.ros.ports import RosPorts
from jepa_wm_ros.sim.direct import DirectCell
from jepa_wm_ros.sim.variation import sample_reach_task

CANDIDATES, HORIZON = 300, 3
LOAD_SECONDS = 120.0  # for the world model to be served


class Bench(NodeBase):
    """A camera, an arm and a planner's ports in one node."""

    def __init__(self) -> None:
        super().__init__('bench_score')
        self.declare('model_timeout', 120.0, 'Longest wait for the world model [s].')
        self.declare('observation_timeout', 60.0, 'Longest wait for an observation [s].')
        task = sample_reach_task(0)
        with DirectCell() as cell:  # a picture that the shipped model knows
            self.picture = cell.reset(task.start, task.cell)[0]
        self.ports = RosPorts(self)
        self._image = self.create_publisher(Image, 'image', 5)
        self._pose = self.create_publisher(PoseStamped, 'ee_pose', 1)
        self._joints = self.create_publisher(JointState, 'joint_states', 1)
        self.create_timer(0.1, self._tick)

    def _tick(self) -> None:
        pose = PoseStamped()
        pose.header.frame_id, pose.header.stamp = FR3.base_frame, self.get_clock().now().to_msg()
        pose.pose.position.x, pose.pose.orientation.x, pose.pose.orientation.w = 0.5, 1.0, 0.0
        self._pose.publish(pose)
        joints = JointState(name=list(FR3.finger_joints), position=[0.04, 0.04])
        joints.header.stamp = pose.header.stamp
        self._joints.publish(joints)
        image = ros_image.fill_image(Image(), self.picture, 'rgb8')
        image.header.stamp = pose.header.stamp
        self._image.publish(image)


def measure(model: str, calls: int) -> dict[str, float]:
    """Milliseconds per call: over the service, in process, and the difference of the medians."""
    local = ModelSession.load(model=model, weights_dir='', device='cpu', threads=1)
    actions = torch.randn(CANDIDATES, HORIZON, 7) * 0.03
    rclpy.init()
    bench, executor = Bench(), SingleThreadedExecutor()
    executor.add_node(bench)
    thread = threading.Thread(target=_spin, args=(executor,), daemon=True)
    thread.start()
    spec = next(p for p in plan_processes(model=model) if p.name == 'world_model')
    spec.parameters['threads'] = 1
    with ProcessGroup([spec]):
        bench.create_client(DescribeModel, 'world_model/describe').wait_for_service(LOAD_SECONDS)
        bench.ports.describe()
        picture = ros_image.fill_image(Image(), bench.picture, 'rgb8')
        seen = bench.ports.observe(bench.ports.prepare([picture])[0], 0)
        remote = bench.ports.score(seen)
        number = local.prepare_goals([bench.picture], None)[0][0]
        context = local.freeze(bench.picture, np.array([0.5, 0, 0, np.pi, 0, 0, 0]), number)
        scorer = local.contexts[context.id]
        took = {'service': [], 'in_process': []}
        for _ in range(calls):
            for name, score in (('service', remote), ('in_process', scorer)):
                begun = time.perf_counter()
                score(actions)
                took[name].append((time.perf_counter() - begun) * 1e3)
    executor.shutdown()
    thread.join(2.0)
    bench.destroy_node()
    rclpy.try_shutdown()
    medians = {f'{name}_ms': float(np.median(times[2:])) for name, times in took.items()}
    return medians | {'overhead_ms': medians['service_ms'] - medians['in_process_ms']}


def _spin(executor: SingleThreadedExecutor) -> None:
    try:
        executor.spin()
    except ExternalShutdownException:
        pass


def main(args: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog='bench_score', description=__doc__.splitlines()[0])
    parser.add_argument('--model', default='jepa_wm_cell')
    parser.add_argument('--calls', type=int, default=40)
    options = parser.parse_args(args)
    os.environ.setdefault('ROS_DOMAIN_ID', str(random.SystemRandom().randint(1, 101)))
    os.environ.update(dds_environment())
    try:
        print(json.dumps(measure(options.model, options.calls)))
    except JepaWmError as error:
        print(f'error: {error}', file=sys.stderr)
        sys.exit(1)


if __name__ == '__main__':
    main()
