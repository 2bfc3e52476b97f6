# SPDX-License-Identifier: Apache-2.0
"""The cell: an FR3 on a table, a cube that can be pushed, one fixed camera.

One MJCF serves the arm server, the renderer and the recorder. Lengths in metres, angles in
radians, everything in the arm's base frame `fr3_link0`, which is the world frame.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np

from jepa_wm_ros.actions import matrix_to_euler
from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.fr3 import FR3
from jepa_wm_ros.sim.contact import add_sensors
from jepa_wm_ros.sim.design import HEIGHT, NOMINAL, WIDTH, CellDesign

PREFIX = 'robot0_'
CAMERA = 'exterior'
OPTICAL_FRAME = 'exterior_optical_frame'

FINGER_KP, FINGER_KV = 1000.0, 50.0  # N/m, N s/m, of each finger
ARM_JOINTS = tuple(PREFIX + name for name in FR3.joints)
FINGER_JOINTS = (f'{PREFIX}finger_joint1', f'{PREFIX}finger_joint2')


class SimError(JepaWmError):
    """The simulated cell cannot start or do what was asked."""


def new_simulator(design: CellDesign = NOMINAL):
    """franky-sim's MuJoCo simulator with a cell as its scene, not yet started."""
    from franky_sim.mujoco_simulator import MujocoSimulator

    simulator = MujocoSimulator()
    simulator.add_robot(initial_q=tuple(FR3.home), initial_hand_width=FR3.gripper_width)
    _furnish(simulator.scene, simulator.worldbody, design)
    return simulator


def compile_model(design: CellDesign = NOMINAL):
    """The cell as an `MjModel` for rendering and direct stepping.

    Its position actuators have the gains of franky-sim's joint and finger controllers (which
    apply forces instead) and, like those, carry the arm's weight.
    """
    import mujoco

    scene = new_simulator(design).scene
    for body in scene.iter('body'):
        if body.get('name', '').startswith(PREFIX):
            body.set('gravcomp', '1')
    model = mujoco.MjModel.from_xml_string(ET.tostring(scene, encoding='unicode'))
    model.opt.timestep = 0.002
    hand = model.actuator(f'{PREFIX}hand')  # its tendon length is the mean of the two fingers
    hand.gainprm[0] = 2 * FINGER_KP * FR3.finger_open / hand.ctrlrange[1]
    hand.biasprm[1:3] = -2 * FINGER_KP, -2 * FINGER_KV
    return model


def _part(parent: ET.Element, path: str) -> ET.Element:
    part = parent.find(path)
    if part is None:
        raise SimError(f'the scene of franky-sim has no {path}: install the pinned version of it')
    return part


def _furnish(scene: ET.Element, worldbody: ET.Element, design: CellDesign) -> None:
    appearance = design.appearance
    quality = _part(scene, 'visual/quality')
    quality.set('shadowsize', '0')
    quality.set('offsamples', '0')
    visual = _part(scene, 'visual')
    ET.SubElement(visual, 'global', offwidth=str(WIDTH), offheight=str(HEIGHT))
    _part(visual, 'headlight').set('ambient', '0.28 0.28 0.28')
    ET.SubElement(
        _part(scene, 'asset'),
        'texture',
        name='sky',
        type='skybox',
        builtin='gradient',
        rgb1='0.70 0.76 0.82',
        rgb2='0.30 0.34 0.38',
        width='64',
        height='64',
    )
    ground = _part(worldbody, "geom[@name='ground']")
    ground.attrib.pop('material')
    ground.set('pos', '0 0 -0.72')
    ground.set('rgba', _text(appearance.floor))

    ET.SubElement(
        worldbody,
        'geom',
        name='table',
        type='box',
        pos='0.35 0 -0.02',
        size='0.55 0.55 0.02',
        rgba=_text(appearance.table),
        friction='0.6 0.005 0.0001',
    )
    cube = ET.SubElement(worldbody, 'body', name='cube', pos=_text([0.5, 0.1, design.cube_half[2]]))
    ET.SubElement(cube, 'freejoint', name='cube_joint')
    ET.SubElement(
        cube,
        'geom',
        name='cube',
        type='box',
        size=_text(design.cube_half),
        mass='0.15',
        rgba=_text(appearance.cube),
        friction='0.6 0.005 0.0001',
    )

    if design.second is not None:
        ET.SubElement(
            worldbody,
            'geom',
            name='second',
            type='box',
            pos=_text([*design.second, design.cube_half[2]]),
            size=_text(design.cube_half),
            rgba='0.15 0.35 0.80 1',
        )

    add_sensors(scene, f'{PREFIX}base')
    hand = next(body for body in worldbody.iter('body') if body.get('name') == f'{PREFIX}hand')
    ET.SubElement(hand, 'site', name='hand_tcp', pos=_text([0.0, 0.0, FR3.tcp]), rgba='0 0 0 0')
    right, down, _ = design.camera_rotation().T
    ET.SubElement(
        worldbody,
        'camera',
        name=CAMERA,
        pos=_text(design.camera_position),
        xyaxes=_text([*right, *-down]),
        fovy=str(np.rad2deg(design.camera_fovy)),
    )


def _text(values) -> str:
    return ' '.join(f'{v:.9g}' for v in values)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the parts of the cell lie in `qpos` and `qvel` of its model."""

    arm: np.ndarray
    arm_dof: np.ndarray
    fingers: np.ndarray
    cube: slice
    cube_dof: slice
    tcp: int

    @classmethod
    def of(cls, model) -> Layout:
        """The layout of a compiled cell."""
        arm, fingers = ([model.joint(n) for n in names] for names in (ARM_JOINTS, FINGER_JOINTS))
        cube = model.joint('cube_joint')
        return cls(
            arm=np.array([j.qposadr[0] for j in arm]),
            arm_dof=np.array([j.dofadr[0] for j in arm]),
            fingers=np.array([j.qposadr[0] for j in fingers]),
            cube=slice(cube.qposadr[0], cube.qposadr[0] + 7),
            cube_dof=slice(cube.dofadr[0], cube.dofadr[0] + 6),
            tcp=model.site('hand_tcp').id,
        )

    def closure(self, qpos: np.ndarray) -> float:
        """Gripper closure, 0 open to 1 closed, of the fingers in `qpos`."""
        return float(np.clip(1.0 - qpos[self.fingers].sum() / FR3.gripper_width, 0.0, 1.0))

    def hand_pose(self, data) -> np.ndarray:
        """True pose7 of the hand TCP; `data` must have been through mj_kinematics."""
        matrix = data.site_xmat[self.tcp].reshape(3, 3)
        return np.concatenate(
            [data.site_xpos[self.tcp], matrix_to_euler(matrix), [self.closure(data.qpos)]]
        )
