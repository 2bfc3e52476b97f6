# SPDX-License-Identifier: Apache-2.0
"""Pages of doc/reference that nodes say: `make reference` writes them, tests hold them equal."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from rclpy.qos import QoSDurabilityPolicy

from support.paths import ROOT
from support.ros_peers import ros

REFERENCE = ROOT / 'doc' / 'reference'
WRITE = 'JEPA_WM_ROS_WRITE_REFERENCE'
OF_EVERY_NODE = ('/rosout', '/parameter_events', '/diagnostics')
OF_ROS = ('rcl_interfaces', 'lifecycle_msgs', 'type_description_interfaces')
OF_RCLPY = ('use_sim_time', 'start_type_description_service')


def hold(page: Path, text: str) -> None:
    """Hold a page equal to `text`, or write it where that is asked for."""
    if os.environ.get(WRITE):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text)
    assert page.is_file() and page.read_text() == text, f'{page} is outdated: make reference'


def hold_node_page(kind: type, interfaces: str) -> None:
    """Hold the page of a class of nodes; `interfaces` is what an active one told."""
    name, parameters = _parameters(kind)
    said = sys.modules[kind.__module__].__doc__.split('\n\n')
    prose = [part for part in said if not part.startswith(('Hears', 'Says', 'Serves'))]
    head = prose[0].split(': ', 1)[1]
    text = [f'# Node {name}', head[0].upper() + head[1:], *prose[1:], interfaces]
    text += ['## Parameters', parameters]
    hold(REFERENCE / 'nodes' / f'{name}.md', '\n\n'.join(part.strip() for part in text) + '\n')


def interfaces(node) -> str:
    """Tables of what an active node, alone in the root namespace, hears, says, serves and asks."""
    sections = {
        'Hears': [_topic_row(node, each) for each in node.subscriptions],
        'Says': [_topic_row(node, each) for each in node.publishers],
        'Serves': [_row(node, each.srv_name, each.srv_type, 'service') for each in node.services]
        + _action_rows(node),
        'Asks': [_row(node, each.srv_name, each.srv_type, 'service') for each in node.clients],
    }
    lines = []
    for title, rows in sections.items():
        if rows := sorted(filter(None, rows)):
            lines += [f'## {title}', '', '| name | type | |', '|---|---|---|', *rows, '']
    return '\n'.join(lines)


def _action_rows(node) -> list[str]:
    send = '/_action/send_goal'
    served = node.get_service_names_and_types_by_node(node.get_name(), node.get_namespace())
    return [
        _named_row(node, name.removesuffix(send), kinds[0].removesuffix('_SendGoal'), 'action')
        for name, kinds in served
        if name.endswith(send)
    ]


def _topic_row(node, end) -> str:
    if end.topic_name in (*OF_EVERY_NODE, f'/{node.get_name()}/transition_event'):
        return ''
    qos = end.qos_profile
    words = [qos.reliability.name.lower().replace('_', ' '), f'depth {qos.depth}']
    if qos.durability == QoSDurabilityPolicy.TRANSIENT_LOCAL:
        words.insert(1, 'latched')
    return _row(node, end.topic_name, end.msg_type, ', '.join(words))


def _row(node, name: str, kind: type, remark: str) -> str:
    package, sort = kind.__module__.split('.')[:2]
    if package in OF_ROS:
        return ''
    return _named_row(node, name, f'{package}/{sort}/{kind.__name__}', remark)


def _named_row(node, name: str, kind: str, remark: str) -> str:
    own = f'/{node.get_name()}/'
    name = name.replace(own, '~/', 1) if name.startswith(own) else name.removeprefix('/')
    return f'| `{name}` | `{kind}` | {remark} |'


def _parameters(kind: type) -> tuple[str, str]:
    """Name and table of the parameters, with their defaults, of a class of nodes."""
    rows = ['| name | default | limits | set | |', '|---|---|---|---|---|']
    with ros():
        node = kind()
        title = node.get_name()
        for name in sorted(set(node.list_parameters([], 0).names) - set(OF_RCLPY)):
            told = node.describe_parameter(name)
            when = 'at start' if told.read_only else 'at any time'
            default = _value(node.get_parameter(name).value)
            rows.append(f'| `{name}` | {default} | {_limits(told)} | {when} | {told.description} |')
        node.destroy_node()
    return title, '\n'.join(rows)


def _limits(told) -> str:
    for bounds in (*told.floating_point_range, *told.integer_range):
        return f'{bounds.from_value:.10g} … {bounds.to_value:.10g}'
    return told.additional_constraints


def _value(value) -> str:
    if isinstance(value, str):
        return f'`{value}`' if value else 'empty'
    if isinstance(value, float):
        return f'{value:.4g}'
    if isinstance(value, bool | int):
        return str(value).lower()
    return ', '.join(_value(each) for each in value)
