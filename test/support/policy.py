# SPDX-License-Identifier: Apache-2.0
"""What config/security/policy.xml allows, read as SROS 2 does, without it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from xml.etree import ElementTree

from support.paths import ROOT

FOLDER = ROOT / 'config' / 'security'
OPERATOR = PurePosixPath('/jepa_wm_ros/operator')
INCLUDE = '{http://www.w3.org/2001/XInclude}include'
ACTION = {  # what of an action its server says and serves
    'topics': ('feedback', 'status'),
    'services': ('send_goal', 'cancel_goal', 'get_result'),
}


@dataclass
class Allowed:
    """Full names of what a node may do."""

    publish: set[str] = field(default_factory=set)
    subscribe: set[str] = field(default_factory=set)
    reply: set[str] = field(default_factory=set)
    request: set[str] = field(default_factory=set)


def enclaves() -> dict[PurePosixPath, Allowed]:
    """What each enclave may do, by its path."""
    tree = ElementTree.parse(FOLDER / 'policy.xml')
    found = {}
    for enclave in tree.getroot().find('enclaves'):
        (profile,) = enclave.find('profiles')
        found[PurePosixPath(enclave.get('path'))] = _allowed(profile)
    return found


def _allowed(profile) -> Allowed:
    allowed = Allowed()
    assert profile.get('ns') == '/'
    for rule in _rules(profile):
        (kind,) = set(rule.attrib)
        assert rule.get(kind) == 'ALLOW'
        names = {_full(entry.text, profile.get('node')) for entry in rule}
        if rule.tag != 'actions':
            getattr(allowed, kind).update(names)
            continue
        said, served = {'execute': ('publish', 'reply'), 'call': ('subscribe', 'request')}[kind]
        for name in names:
            getattr(allowed, said).update(f'{name}/_action/{part}' for part in ACTION['topics'])
            getattr(allowed, served).update(f'{name}/_action/{part}' for part in ACTION['services'])
    return allowed


def _rules(profile):
    for entry in profile:
        if entry.tag == INCLUDE:
            yield from ElementTree.parse(FOLDER / entry.get('href')).getroot()
        else:
            yield entry


def _full(name: str, node: str) -> str:
    return name if name.startswith('/') else '/' + name.replace('~', node)
