# SPDX-License-Identifier: Apache-2.0
"""The topics of a bag that a description names, or else the only ones that fit.

Whether joint states are those of an arm, and which frames are an arm's, is looked up in the first
messages of the bag.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from jepa_wm_ros.errors import JepaWmError
from jepa_wm_ros.recordings.bags.bag import Bag
from jepa_wm_ros.recordings.bags.findings import BagError
from jepa_wm_ros.recordings.frames import FrameTree
from jepa_wm_ros.recordings.readings import arms_in, gripper_joints_in, is_franka, transforms_of
from jepa_wm_ros.recordings.topics import (
    BASE,
    FRAMES,
    HAND,
    JOINTS,
    KINDS,
    NO_GRIPPER,
    ChosenTopics,
    Topic,
    TopicSpec,
    fixed_topic,
    frame_names,
)

LOOKED_AT = 20  # joint states: one topic may carry those of arm and gripper in turn
FRAMES_LOOKED_AT = 400  # one topic carries those of everything that moves
NAMED = {role: f'name one with --{role}' for role in KINDS}
_LISTED = 12  # names in a message


class _Unfit(JepaWmError):
    """Why a topic of the right type is not the one."""


def choose_topics(bag: Bag, spec: TopicSpec, named: Mapping[str, str] = NAMED) -> ChosenTopics:
    """The topics `spec` names, or the only fitting ones of the bag. Raises BagError, which says how
    that of a role is `named`.
    """
    image, pose = (_found(bag, spec, role, named) for role in ('image', 'pose'))
    spec = replace(spec, image=image.name, pose=pose.name)
    fixed = fixed_topic(pose)
    if fixed is not None:
        spec = _with_frames(bag, pose, spec)
        fixed = bag.topics.get(fixed.name)
    if spec.gripper == NO_GRIPPER:
        return ChosenTopics(image, pose, None, spec, fixed)
    gripper, _ = _choose(bag, spec, 'gripper', named)
    if gripper is None:
        bag.findings.notice(
            'no gripper',
            f'{bag.path}: no gripper topic; closure is taken as 0 (open) and closure errors say '
            'nothing',
        )
    spec = replace(spec, gripper=gripper.name if gripper else '')
    return ChosenTopics(image, pose, gripper, spec, fixed)


def _found(bag: Bag, spec: TopicSpec, role: str, named: Mapping[str, str]) -> Topic:
    topic, reasons = _choose(bag, spec, role, named)
    if topic is None:
        why = ''.join(f'; {reason}' for reason in reasons)
        raise BagError(
            f'{bag.path}: no {role} topic; it holds {_listing(bag.topics)}{why}; {named[role]}'
        )
    return topic


def _choose(
    bag: Bag, spec: TopicSpec, role: str, named: Mapping[str, str]
) -> tuple[Topic | None, list[str]]:
    """The topic of a role, None without one; and why those of a right type are not."""
    kinds = (spec.kind(role),) if spec.kind(role) else KINDS[role]
    if spec.name(role):
        return _named(bag, spec, role, kinds), []
    reasons: list[str] = []
    for group in (kinds,) if role == 'image' else tuple((kind,) for kind in kinds):
        fitting = []
        for topic in bag.topics.values():
            if topic.kind in group and topic.count:
                try:
                    _check(bag, topic, spec, role)
                    fitting.append(topic)
                except _Unfit as unfit:
                    reasons.append(str(unfit))
        if role == 'gripper' and len(fitting) > 1:
            fitting = [topic for topic in fitting if 'gripper' in topic.name] or fitting
        if len(fitting) == 1:
            return fitting[0], []
        if fitting:
            raise BagError(
                f'{bag.path}: several topics could be the {role}: '
                f'{", ".join(sorted(topic.name for topic in fitting))}; {named[role]}'
            )
    return None, reasons


def _named(bag: Bag, spec: TopicSpec, role: str, kinds: Iterable[str]) -> Topic:
    name = spec.name(role)
    topic = bag.topics.get(name) or bag.topics.get('/' + name.lstrip('/'))
    if topic is None:
        raise BagError(f'{bag.path}: no topic {name}; it holds {_listing(bag.topics)}')
    if topic.kind not in kinds:
        raise BagError(
            f'{bag.path}: {topic.name} is a {topic.kind}; the {role} topic must be one '
            f'of {", ".join(kinds)}'
        )
    if not topic.count:
        raise BagError(f'{bag.path}: {topic.name} holds no messages')
    if role == 'pose' and topic.kind == JOINTS:
        _one_of(bag, topic.name, 'the joints', arms_in(_joint_names(bag, topic), spec.arm_prefix))
    return topic


def _check(bag: Bag, topic: Topic, spec: TopicSpec, role: str) -> None:
    """Raise _Unfit where a topic of the right type does not tell of an arm, or of a gripper."""
    if topic.kind == JOINTS:
        names = _joint_names(bag, topic)
        if role == 'gripper':
            fits = bool(gripper_joints_in(names, spec))
        else:
            arms = [arm for arm in arms_in(names, spec.arm_prefix) if is_franka(arm)]
            _one_of(bag, topic.name, 'the joints', arms)
            fits = bool(arms)
        if not fits:
            what = "a gripper's" if role == 'gripper' else "a Franka arm's"
            raise _Unfit(f'{topic.name} holds joints, but not {what} ({_some(names)})')
    if topic.kind == FRAMES:
        frames = _frame_names(bag, topic)
        if topic.name.endswith('_static'):
            raise _Unfit(f'{topic.name} tells of frames that do not move')
        if not spec.hand_frame and not _arms_among(frames, spec.arm_prefix):
            raise _Unfit(
                f"{topic.name} tells of no Franka arm's base and hand ({_some(frames)}): say with "
                '--base-frame and --hand-frame between which frames the pose lies'
            )


def _with_frames(bag: Bag, pose: Topic, spec: TopicSpec) -> TopicSpec:
    """The description with the frames of base and hand, which the bag must connect."""
    if not spec.base_frame or not spec.hand_frame:
        arms = _arms_among(_frame_names(bag, pose), spec.arm_prefix)
        _one_of(bag, pose.name, 'the frames', arms)
        if arms:
            spec = replace(
                spec,
                base_frame=spec.base_frame or f'{arms[0]}{BASE}',
                hand_frame=spec.hand_frame or f'{arms[0]}{HAND}',
            )
    base, hand = frame_names(spec)
    tree = FrameTree(base, hand)
    for _, parent, child, link in _transforms(bag, pose):
        if link is not None:
            tree.hear(parent, child, link)
    if not tree.connected:
        fixed = fixed_topic(pose)
        absent = '' if fixed is None or fixed.name in bag.topics else f', and no {fixed.name}'
        raise BagError(
            f'{bag.path}: {pose.name} does not lead from {base} to {hand}; it tells of '
            f'{tree.known()}{absent}; choose frames with --base-frame and --hand-frame'
        )
    return replace(spec, base_frame=base, hand_frame=hand)


def _one_of(bag: Bag, topic: str, what: str, arms: Iterable[str]) -> None:
    """Raise BagError where there are several arms."""
    if len(several := sorted(arms)) > 1:
        raise BagError(
            f'{bag.path}: {topic} holds {what} of several arms ({", ".join(several)}); choose one '
            'with --arm-prefix'
        )


def _arms_among(frames: Iterable[str], prefix: str) -> list[str]:
    """What the frames of each whole arm begin with that has a base and a hand."""
    names = set(frames)
    arms = (name.removesuffix(HAND) for name in sorted(names) if name.endswith(HAND))
    return [arm for arm in arms if f'{arm}{BASE}' in names and arm.startswith(prefix)]


def _joint_names(bag: Bag, topic: Topic) -> list[str]:
    messages = bag.first(topic.name, LOOKED_AT)
    return list(dict.fromkeys(name for message in messages for name in message.name))


def _frame_names(bag: Bag, topic: Topic) -> list[str]:
    told = _transforms(bag, topic)
    return sorted({frame for _, parent, child, _ in told for frame in (parent, child)})


def _transforms(bag: Bag, topic: Topic) -> list[tuple]:
    topics = [topic, *([fixed] if (fixed := fixed_topic(topic)) else [])]
    return [
        transform
        for each in topics
        for message in bag.first(each.name, FRAMES_LOOKED_AT)
        for transform in transforms_of(message, FRAMES)
    ]


def _some(names: Iterable[str]) -> str:
    several = list(names)
    more = ' …' if len(several) > _LISTED else ''
    return (', '.join(several[:_LISTED]) or 'none') + more


def _listing(topics: dict[str, Topic]) -> str:
    return (
        ', '.join(
            f'{t.name} ({t.kind}, {t.count})' for t in sorted(topics.values(), key=lambda t: t.name)
        )
        or 'no topics'
    )
