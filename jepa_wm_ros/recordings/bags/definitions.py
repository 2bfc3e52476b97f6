# SPDX-License-Identifier: Apache-2.0
"""What the bytes of a recording's messages mean: definitions, each read with its first message.

A recording may hold definitions that nothing here understands, such as those of service events;
they concern only who wants those messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2 import storage_mcap
from rosbags.typesys import (
    Stores,
    TypesysError,
    get_types_from_idl,
    get_types_from_msg,
    get_typestore,
)
from rosbags.typesys.store import Typestore

_IDL_BREAK = '=' * 80 + '\n'
# What rosbags raises on a text that defines nothing.
_NO_DEFINITION = (
    TypesysError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Definition(NamedTuple):
    """What a recording says of a message type; the digest may be empty."""

    kind: str
    text: MessageDefinition
    digest: str = ''


class Definitions:
    """The message types of a recording.

    A type whose definition was not recorded (Humble and older record none) is taken as ROS 2 has
    it, unless the recording's digest says that it was another one.
    """

    def __init__(self, recorded: Iterable[Definition]) -> None:
        self._recorded: dict[str, Definition] = {}
        for definition in recorded:
            known = self._recorded.get(definition.kind)
            if known is None or known.text.format is MessageDefinitionFormat.NONE:
                self._recorded[definition.kind] = definition
        self._read: dict[str, Typestore | TypesysError] = {}

    def deserialize(self, raw: bytes | memoryview, kind: str) -> object:
        """The message of type `kind` in CDR bytes. Raises TypesysError where its definition says
        nothing, SerdeError where the bytes do not fit.
        """
        if kind not in self._read:
            try:
                self._read[kind] = self._types(kind)
            except _NO_DEFINITION as error:
                self._read[kind] = TypesysError(str(error))
        types = self._read[kind]
        if isinstance(types, TypesysError):
            raise types
        return types.deserialize_cdr(raw, kind)

    def _types(self, kind: str) -> Typestore:
        definition = self._recorded.get(kind)
        if definition and definition.text.format is not MessageDefinitionFormat.NONE:
            types = get_typestore(Stores.EMPTY)
            parsed = _parsed(definition)
            _check_fields(parsed)
            types.register(parsed)
            return types
        if kind not in _usual_types().fielddefs:
            raise TypesysError(f'the recording holds no definition of {kind}')
        if definition and definition.digest not in ('', _usual_types().hash_rihs01(kind)):
            raise TypesysError(f'{kind} is defined otherwise here than where it was recorded')
        return _usual_types()


def _check_fields(parsed: dict) -> None:
    """Refuse a type of ROS 2 that lacks a field which it always has."""
    usual = _usual_types().fielddefs
    for kind in parsed.keys() & usual.keys():
        lacks = {name for name, _ in usual[kind][1]} - {name for name, _ in parsed[kind][1]}
        if lacks:
            raise TypesysError(f'{kind} is recorded without its field {min(lacks)}')


def _parsed(definition: Definition) -> dict:
    text = definition.text.data
    if definition.text.format is MessageDefinitionFormat.MSG:
        return get_types_from_msg(text, definition.kind)
    if not text.startswith(f'{_IDL_BREAK}IDL: '):
        return get_types_from_idl(text)
    types = {}
    for part in text.split(_IDL_BREAK)[1:]:
        types.update(get_types_from_idl(part.partition('\n')[2]))
    return types


@cache
def _usual_types() -> Typestore:
    """The types of ROS 2 itself; not to be changed."""
    return get_typestore(Stores.ROS2_JAZZY)


def admit_any_encoding() -> None:
    """From now on rosbags takes an MCAP schema in an encoding that it does not know for one without
    a text; it refused the whole file.
    """
    usual = storage_mcap.get_msgdef

    def definition(schema) -> MessageDefinition:
        try:
            return usual(schema)
        except KeyError:
            return MessageDefinition(MessageDefinitionFormat.NONE, '')

    vars(storage_mcap)['get_msgdef'] = definition
