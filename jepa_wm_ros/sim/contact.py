# SPDX-License-Identifier: Apache-2.0
"""How hard the arm presses on the table, by itself or with what it holds: MuJoCo's own contact
sensors, computed with each step of the physics.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET

ON_TABLE, CUBE_ON_TABLE, ON_CUBE = 'arm_on_table', 'cube_on_table', 'arm_on_cube'
UP = 2  # of a force (3,) in the world


def add_sensors(scene: ET.Element, arm: str) -> None:
    """Give a scene the sensors of `TableContact`; arm: name of the arm's lowest body."""
    sensors = ET.SubElement(scene, 'sensor')
    pressing = {'geom1': 'table', 'reduce': 'netforce', 'data': 'force'}
    ET.SubElement(sensors, 'contact', pressing, name=ON_TABLE, subtree2=arm)
    ET.SubElement(sensors, 'contact', pressing, name=CUBE_ON_TABLE, geom2='cube')
    ET.SubElement(sensors, 'contact', name=ON_CUBE, geom1='cube', subtree2=arm, data='found')


class TableContact:
    """Reads those sensors of a compiled scene."""

    def __init__(self, model) -> None:
        first = {name: model.sensor(name).adr[0] for name in (ON_TABLE, CUBE_ON_TABLE, ON_CUBE)}
        self._arm, self._cube = first[ON_TABLE] + UP, first[CUBE_ON_TABLE] + UP
        self._touched = first[ON_CUBE]

    def force(self, data) -> float:
        """Force [N] on the table of the arm, and of the cube while the arm touches it."""
        sensed = data.sensordata
        return float(sensed[self._arm] + (sensed[self._cube] if sensed[self._touched] else 0.0))
