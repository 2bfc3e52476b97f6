# SPDX-License-Identifier: Apache-2.0
"""The security policy as a whole. test_lifecycle.py holds it equal to what each node does."""

from xml.etree import ElementTree

import pytest

pytest.importorskip('jepa_wm_msgs', reason='needs the ROS interfaces (make setup)')

from jepa_wm_ros.ros.commander import JepaCommander  # noqa: E402
from jepa_wm_ros.ros.exploring import SeeingPorts  # noqa: E402
from support import policy  # noqa: E402

pytestmark = pytest.mark.ros


def test_only_the_planner_and_who_explores_command_the_arm():
    who = {
        path.name for path, allowed in policy.enclaves().items() if '/command' in allowed.publish
    }
    assert who == {'planner', 'explorer'}


def test_whoever_hears_or_asks_is_told_or_answered_by_another():
    everybody = policy.enclaves()
    said = {'/clock'}.union(*(allowed.publish for allowed in everybody.values()))
    served = set().union(*(allowed.reply for allowed in everybody.values()))
    for allowed in everybody.values():
        assert allowed.subscribe <= said and allowed.request <= served


def explores(commander: JepaCommander) -> SeeingPorts:
    return SeeingPorts(commander, 'fr3_link0', 32)


@pytest.mark.parametrize(('enclave', 'beside'), [('operator', id), ('explorer', explores)])
def test_the_commander_may_do_what_it_does(ros_domain, enclave, beside):
    may = policy.enclaves()[policy.OPERATOR.with_name(enclave)]
    with JepaCommander() as commander:
        beside(commander)
        name, node = commander.node.get_name(), commander.node
        for seen, allowed in (
            (node.get_publisher_names_and_types_by_node, may.publish),
            (node.get_subscriber_names_and_types_by_node, may.subscribe),
            (node.get_service_names_and_types_by_node, may.reply),
            (node.get_client_names_and_types_by_node, may.request),
        ):
            does = {entry for entry, _ in seen(name, '/')}
            assert does and does <= allowed


def test_nothing_but_enclaves_is_between_enclaves():
    """sros2 reads a comment there as an enclave without a name, and fails."""
    parser = ElementTree.XMLParser(target=ElementTree.TreeBuilder(insert_comments=True))
    tree = ElementTree.parse(policy.FOLDER / 'policy.xml', parser)
    assert {entry.tag for entry in tree.getroot().find('enclaves')} == {'enclave'}
