# SPDX-License-Identifier: Apache-2.0
"""The topics of a bag that a description names, or else the only ones that fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jepa_wm_ros.recordings.bags.findings import BagError, Findings
from jepa_wm_ros.recordings.topics import KINDS, NO_GRIPPER, ChosenTopics, Topic, TopicSpec


def choose_topics(
    topics: dict[str, Topic], spec: TopicSpec, findings: Findings, bag: Path | str
) -> ChosenTopics:
    """The topics `spec` names, or the only fitting ones of the bag."""
    image = _choose('image', spec, topics, bag)
    pose = _choose('pose', spec, topics, bag)
    if image is None or pose is None:
        role = 'image' if image is None else 'pose'
        raise BagError(
            f'{bag}: no {role} topic; it holds {_listing(topics)}; name one with --{role}'
        )
    if spec.gripper == NO_GRIPPER:
        return ChosenTopics(image, pose, None, replace(spec, image=image.name, pose=pose.name))
    gripper = _choose('gripper', spec, topics, bag)
    if gripper is None:
        findings.notice(
            'no gripper',
            f'{bag}: no gripper topic; closure is taken as 0 (open) and closure errors say nothing',
        )
    return ChosenTopics(
        image,
        pose,
        gripper,
        replace(spec, image=image.name, pose=pose.name, gripper=gripper.name if gripper else ''),
    )


def _choose(role: str, spec: TopicSpec, topics: dict[str, Topic], bag: Path | str) -> Topic | None:
    kinds = (spec.kind(role),) if spec.kind(role) else KINDS[role]
    if name := spec.name(role):
        topic = topics.get(name) or topics.get('/' + name.lstrip('/'))
        if topic is None:
            raise BagError(f'{bag}: no topic {name}; it holds {_listing(topics)}')
        if topic.kind not in kinds:
            raise BagError(
                f'{bag}: {topic.name} is a {topic.kind}; the {role} topic must be one '
                f'of {", ".join(kinds)}'
            )
        if not topic.count:
            raise BagError(f'{bag}: {topic.name} holds no messages')
        return topic
    for group in (kinds,) if role == 'image' else tuple((kind,) for kind in kinds):
        fitting = [t for t in topics.values() if t.kind in group and t.count]
        if role == 'gripper' and group == KINDS['gripper'][-1:] and len(fitting) > 1:
            fitting = [t for t in fitting if 'gripper' in t.name] or fitting
        if len(fitting) == 1:
            return fitting[0]
        if fitting:
            raise BagError(
                f'{bag}: several topics could be the {role}: '
                f'{", ".join(sorted(t.name for t in fitting))}; '
                f'choose one with --{role}'
            )
    return None


def _listing(topics: dict[str, Topic]) -> str:
    return (
        ', '.join(
            f'{t.name} ({t.kind}, {t.count})' for t in sorted(topics.values(), key=lambda t: t.name)
        )
        or 'no topics'
    )
