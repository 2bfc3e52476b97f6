# SPDX-License-Identifier: Apache-2.0
"""Rows 29 to 31 at the node: a wrong weight file fails the configure in one line, nothing of it is
executed, and a right one configures the same node.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch

pytest.importorskip('rclpy', reason='needs ROS 2 and the interfaces (make setup)')

from fuzz.trial import memory_limit  # noqa: E402
from fuzz.weights import OwnWeights  # noqa: E402
from jepa_wm_ros.ros.nodes.world_model import WorldModelNode  # noqa: E402
from jepa_wm_ros.world_model.files.checkpoints import SPEC_KEY  # noqa: E402
from jepa_wm_ros.world_model.files.safe_files import sha256, sidecar  # noqa: E402
from support.paths import GOLDENS  # noqa: E402
from support.payload import Payload  # noqa: E402
from support.ros_peers import ros, spinning, tiny_model  # noqa: E402

pytestmark = pytest.mark.ros


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp('model'))


def refusal(model: Path) -> str:
    """Why a node does not configure with this model."""
    with ros(model=model, threads=1):
        node = WorldModelNode()
        with spinning(node):
            assert node.trigger_configure().name == 'FAILURE'
        node.close()
        node.destroy_node()
        assert node.failure and '\n' not in node.failure
        return node.failure


@pytest.mark.fault(29)
def test_a_missing_file_is_named(tmp_path, ros_domain):
    assert str(tmp_path / 'gone.safetensors') in refusal(tmp_path / 'gone.safetensors')


@pytest.mark.fault(29)
def test_a_truncated_file_is_named_with_both_hashes(whole, tmp_path, ros_domain):
    cut = tmp_path / whole.name
    cut.write_bytes(whole.read_bytes()[:-1000])
    shutil.copy(sidecar(whole), sidecar(cut))
    said = refusal(cut)
    assert str(cut) in said and sha256(cut) in said and sha256(whole) in said


@pytest.mark.fault(29)
def test_a_truncated_file_without_a_record_of_its_hash_is_damaged(whole, tmp_path, ros_domain):
    cut = tmp_path / whole.name
    cut.write_bytes(whole.read_bytes()[:-1000])
    assert f'{cut} is damaged' in refusal(cut)


@pytest.mark.fault(30)
@pytest.mark.parametrize('zipped', [True, False])
def test_a_pickle_with_a_payload_is_refused_and_does_not_run(tmp_path, ros_domain, zipped):
    folder, trace = tmp_path / 'model', tmp_path / 'ran'
    shutil.copytree(GOLDENS / 'adaln_rope_noprop', folder)
    torch.save(
        {'predictor': Payload(trace)},
        folder / 'checkpoint.pth.tar',
        _use_new_zipfile_serialization=zipped,
    )
    assert 'asks for more than weights' in refusal(folder) and not trace.exists()


@pytest.mark.fault(31)
def test_another_architecture_is_refused_with_its_keys(tmp_path, ros_domain):
    folder = tmp_path / 'model'
    shutil.copytree(GOLDENS / 'adaln_rope_noprop', folder)
    shutil.copy(GOLDENS / 'dinowm_ftcond_noprop/checkpoint.pth.tar', folder)
    said = refusal(folder)
    assert 'missing: predictor/' in said and 'unexpected: action_encoder/' in said


@pytest.mark.fault(31)
def test_a_header_that_claims_more_than_the_file_holds_takes_no_memory(tmp_path, ros_domain):
    target = OwnWeights(tmp_path)
    metadata = target.header['__metadata__']
    spec = json.loads(metadata[SPEC_KEY])
    spec['predictor'] |= {'width': 1 << 15, 'depth': 100}
    metadata[SPEC_KEY] = json.dumps(spec)
    target.file.write_bytes(target.packed(json.dumps(target.header).encode()))
    with memory_limit():
        assert 'weights, which' in refusal(target.file)
