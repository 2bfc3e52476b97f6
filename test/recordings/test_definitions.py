# SPDX-License-Identifier: Apache-2.0
"""Message definitions that a recording brings along: read, unless they lack what ROS 2 has."""

import pytest

pytest.importorskip('rosbags')

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat  # noqa: E402
from rosbags.typesys import Stores, TypesysError, get_typestore  # noqa: E402

from jepa_wm_ros.recordings.bags.definitions import Definition, Definitions  # noqa: E402

HEADER = 'std_msgs/msg/Header'


def definitions(text):
    return Definitions([Definition(HEADER, MessageDefinition(MessageDefinitionFormat.MSG, text))])


@pytest.fixture(scope='module')
def raw():
    store = get_typestore(Stores.ROS2_JAZZY)
    stamp = store.types['builtin_interfaces/msg/Time'](3, 5)
    return bytes(store.serialize_cdr(store.types[HEADER](stamp, 'base'), HEADER))


STAMP = '=' * 80 + '\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n'


def test_a_definition_that_says_what_ros_says_is_read(raw):
    said = definitions(f'builtin_interfaces/Time stamp\nstring frame_id\n{STAMP}')
    header = said.deserialize(raw, HEADER)
    assert (header.stamp.sec, header.stamp.nanosec, header.frame_id) == (3, 5, 'base')


@pytest.mark.fault(33)
@pytest.mark.parametrize(
    ('text', 'missing'),
    [
        ('string frame_id\n', 'Header is recorded without its field stamp'),
        (
            f'builtin_interfaces/Time stamp\n{STAMP}',
            'Header is recorded without its field frame_id',
        ),
        (
            'builtin_interfaces/Time stamp\nstring frame_id\n' + STAMP.replace('int32 sec\nu', 'u'),
            'Time is recorded without its field sec',
        ),
    ],
)
def test_a_type_of_ros_that_lacks_a_field_is_not_read(raw, text, missing):
    with pytest.raises(TypesysError, match=missing):
        definitions(text).deserialize(raw, HEADER)
