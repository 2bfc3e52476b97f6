# SPDX-License-Identifier: Apache-2.0
"""Weight files: exact names and counts, strict loading, nothing executed, one-line errors."""

import json
import re
import shutil
import time
from pathlib import Path

import pytest
import torch

from jepa_wm_ros.world_model import CheckpointError, build, load_world_model, save_world_model
from jepa_wm_ros.world_model.files.official import (
    IGNORED,
    published_shapes,
    published_state,
    save_official,
)
from jepa_wm_ros.world_model.files.registry import ENTRIES, cell_spec
from jepa_wm_ros.world_model.files.safe_files import read_torch_file, sidecar
from support.paths import GOLDENS, ROOT
from support.payload import Payload

PUBLISHED = json.loads((ROOT / 'test/checkpoint_keys.json').read_text())


@pytest.mark.parametrize('name', PUBLISHED)
def test_names_shapes_and_counts_are_those_of_the_published_model(name):
    published = PUBLISHED[name]
    want = {
        f'{part}/{key}': tuple(shape)
        for part in ('predictor', 'action_encoder', 'proprio_encoder')
        for key, shape in (published[part] or {}).items()
    }
    model = build(ENTRIES[name].spec, device='meta')
    mask = IGNORED.get(model.spec.family)
    want = {
        key: shape
        for key, shape in want.items()
        if not (mask and mask.match(key.removeprefix('predictor/')))
    }
    found = {key: tuple(shape) for key, shape in published_shapes(model).items()}
    assert found == want
    assert (
        sum(
            torch.Size(shape).numel()
            for key, shape in found.items()
            if key.startswith('predictor/')
        )
        == published['n_pred']
    )


def test_a_512_frame_model_is_described_without_its_16_gib_mask():
    begun = time.process_time()  # of this process: a busy machine must not look like a mask
    model = build(ENTRIES['vjepa2_ac_oss'].spec, device='meta')
    assert time.process_time() - begun < 4.0
    assert not [name for name, _ in model.predictor.named_buffers()]


@pytest.mark.fault(30)
@pytest.mark.parametrize('legacy', [False, True], ids=['zip', 'legacy'])
def test_a_pickle_with_a_payload_is_refused_and_does_not_run(tmp_path, legacy):
    trace, file = tmp_path / 'ran', tmp_path / 'weights.pth'
    torch.save({'predictor': Payload(trace)}, file, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(CheckpointError, match='asks for more than weights'):
        read_torch_file(file)
    assert not trace.exists()


def test_the_payload_of_that_test_would_run_if_it_were_unpickled(tmp_path):
    trace, file = tmp_path / 'ran', tmp_path / 'weights.pth'
    torch.save({'predictor': Payload(trace)}, file)
    torch.load(file, weights_only=False)
    assert trace.exists()


@pytest.mark.fault(29)
@pytest.mark.parametrize('keep', [0, 10, 1000, 0.5, 0.99])
def test_a_truncated_file_gives_one_clear_line(tmp_path, keep):
    whole = (GOLDENS / 'adaln_rope_noprop/checkpoint.pth.tar').read_bytes()
    file = tmp_path / 'weights.pth.tar'
    file.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else keep])
    with pytest.raises(CheckpointError) as caught:
        read_torch_file(file)
    assert '\n' not in str(caught.value) and 'weights.pth.tar' in str(caught.value)


@pytest.mark.parametrize('content', [[1, 2], torch.zeros(2), 'text'])
def test_a_file_without_named_weights_is_refused(tmp_path, content):
    torch.save(content, tmp_path / 'weights.pth')
    with pytest.raises(CheckpointError, match='not named weights'):
        read_torch_file(tmp_path / 'weights.pth')


@pytest.mark.fault(31)
@pytest.mark.fault(31)
def golden_copy(tmp_path, family, change=lambda content: None):
    folder = tmp_path / family
    shutil.copytree(GOLDENS / family, folder)
    content = torch.load(folder / 'checkpoint.pth.tar', weights_only=True)
    change(content)
    torch.save(content, folder / 'checkpoint.pth.tar')
    return folder


def test_another_familys_checkpoint_is_refused_with_the_key_list(tmp_path):
    folder = golden_copy(tmp_path, 'adaln_rope_noprop')
    shutil.copy(GOLDENS / 'dinowm_ftcond_noprop/checkpoint.pth.tar', folder)
    with pytest.raises(CheckpointError) as caught:
        load_world_model(folder)
    message = str(caught.value)
    assert re.search(r'36 missing: .*predictor_blocks\.0\.adaLN_modulation\.1\.bias', message)
    assert re.search(r'27 unexpected: .*transformer\.layers\.0\.0\.norm\.weight', message)
    assert 'and 24 more' in message and '\n' not in message


@pytest.mark.fault(31)
def test_a_missing_an_extra_and_a_misshapen_key_are_each_named(tmp_path):
    def change(content):
        del content['predictor']['module.predictor_norm.bias']
        content['predictor']['module.predictor_norm.gain'] = torch.zeros(3)
        content['predictor']['module.predictor_proj.bias'] = torch.zeros(5)

    with pytest.raises(CheckpointError) as caught:
        load_world_model(golden_copy(tmp_path, 'adaln_rope_noprop', change))
    for part in (
        '1 missing: predictor/predictor_norm.bias',
        '1 unexpected: predictor/predictor_norm.gain',
        '1 misshapen: predictor/predictor_proj.bias is (5,), wanted (48,)',
    ):
        assert part in str(caught.value)


def test_the_mask_buffers_of_dino_wm_may_be_there_or_not(tmp_path):
    def change(content):
        for key in list(content['predictor']):
            if re.search(r'layers\.\d+\.0\.bias$', key):
                del content['predictor'][key]

    load_world_model(golden_copy(tmp_path, 'dinowm_ftcond_prop', change))
    load_world_model(GOLDENS / 'dinowm_ftcond_prop')


def test_the_bias_after_dino_wms_attention_is_no_mask_buffer(tmp_path):
    def change(content):
        del content['predictor']['module.transformer.layers.0.0.to_out.0.bias']

    with pytest.raises(CheckpointError, match=r'1 missing: .*to_out\.0\.bias'):
        load_world_model(golden_copy(tmp_path, 'dinowm_ftcond_prop', change))


def test_the_unused_extrinsics_encoder_belongs_to_vjepa2_ac_alone(tmp_path):
    def change(content):
        content['predictor']['module.extrinsics_encoder.weight'] = torch.zeros(2, 2)

    load_world_model(golden_copy(tmp_path, 'vjepa2ac_seqcond_nostate', change))
    with pytest.raises(CheckpointError, match='1 unexpected: predictor/extrinsics_encoder.weight'):
        load_world_model(golden_copy(tmp_path, 'adaln_rope_noprop', change))


def test_module_is_removed_wherever_it_stands_in_a_name(tmp_path):
    def change(content):
        content['predictor'] = {
            key.replace('module.predictor_norm', 'module.module.predictor_norm').replace(
                'attn.qkv', 'attn.module.qkv'
            ): value
            for key, value in content['predictor'].items()
        }

    load_world_model(golden_copy(tmp_path, 'adaln_rope_noprop', change))


def test_an_entry_that_is_no_tensor_is_refused(tmp_path):
    def change(content):
        content['predictor']['module.predictor_norm.bias'] = 'zero'

    with pytest.raises(CheckpointError, match='not tensors'):
        load_world_model(golden_copy(tmp_path, 'adaln_rope_noprop', change))


def test_a_published_file_is_found_by_its_name_and_its_encoder_beside_it(tmp_path):
    entry = ENTRIES['dino_wm_wall']
    model = build(entry.spec, device='meta').to_empty(device='cpu')
    torch.save(published_state(model), tmp_path / entry.weights.file)
    with pytest.raises(CheckpointError, match='dinov2_vits14_pretrain.pth is missing; fetch it'):
        load_world_model(tmp_path / entry.weights.file, weights_dir=tmp_path)


def test_our_file_gives_back_the_same_model(tmp_path):
    model = build(cell_spec(depth=1), seed=3).eval()
    save_world_model(model, tmp_path / 'm.safetensors', {'note': 'hello'})
    again = load_world_model(tmp_path / 'm.safetensors')
    assert again.spec == model.spec
    for key, value in model.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    assert not again.training and not any(p.requires_grad for p in again.parameters())


def test_a_converted_published_model_imagines_the_same(tmp_path):
    model = load_world_model(GOLDENS / 'dinowm_ftcond_prop')
    save_world_model(model, tmp_path / 'm.safetensors')
    again = load_world_model(tmp_path / 'm.safetensors')
    pixels = torch.randn(1, 3, 32, 32)
    proprio, actions = torch.randn(1, 4), torch.randn(3, 2, 10)
    rollouts = [m.unroll(m.encode(pixels, proprio), actions) for m in (model, again)]
    assert torch.equal(rollouts[0].visual, rollouts[1].visual)


@pytest.mark.parametrize(
    'name', ['adaln_rope_ftprop', 'dinowm_ftcond_prop', 'vjepa2ac_seqcond_state']
)
def test_an_exported_model_is_what_the_released_code_wrote(tmp_path, name):
    """The golden's own file is the truth: the same names, the same numbers."""
    save_official(load_world_model(GOLDENS / name), tmp_path / 'ours.pth.tar')
    ours, theirs = (
        torch.load(path, weights_only=True)
        for path in (tmp_path / 'ours.pth.tar', GOLDENS / name / 'checkpoint.pth.tar')
    )
    assert {'opt', 'scaler', 'epoch'} <= ours.keys()
    for part in ('predictor', 'action_encoder', 'proprio_encoder'):
        told = {
            key: value
            for key, value in (theirs.get(part) or {}).items()
            if not IGNORED['dino_wm'].match(key.removeprefix('module.'))
            and 'extrinsics_encoder' not in key
        }
        mine = {key.replace('state_encoder', 'proprio_encoder') for key in told}
        assert mine == ours.get(part, {}).keys()
        for key, value in told.items():
            assert torch.equal(value, ours[part][key.replace('state_encoder', 'proprio_encoder')])
    with pytest.raises(CheckpointError, match='is there already'):
        save_official(load_world_model(GOLDENS / name), tmp_path / 'ours.pth.tar')


def test_a_model_that_the_released_code_has_no_class_for_is_not_exported(tmp_path):
    with pytest.raises(CheckpointError, match='no published layout'):
        save_official(build(cell_spec(depth=1), seed=3), tmp_path / 'x.pth.tar')


def test_a_file_that_changed_since_it_was_recorded_is_refused(tmp_path):
    file = tmp_path / 'm.safetensors'
    save_world_model(build(cell_spec(depth=1), seed=3), file)
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match='SHA-256'):
        load_world_model(file)
    sidecar(file).unlink()
    load_world_model(file)


def test_a_file_whose_writing_was_interrupted_before_its_record_is_told(tmp_path, monkeypatch):
    file = tmp_path / 'm.safetensors'
    save_world_model(build(cell_spec(depth=1), seed=3), file)
    before = sidecar(file).read_text()

    def power_cut(path, target):
        if target == sidecar(file):
            raise KeyboardInterrupt
        return replace(path, target)

    replace = Path.replace
    monkeypatch.setattr(Path, 'replace', power_cut)
    with pytest.raises(KeyboardInterrupt):
        save_world_model(build(cell_spec(depth=1), seed=4), file)
    monkeypatch.undo()
    assert sidecar(file).read_text() == before, 'the record is of one file or the other'
    with pytest.raises(CheckpointError, match=f'interrupted .* remove {sidecar(file).name}'):
        load_world_model(file)
    save_world_model(build(cell_spec(depth=1), seed=4), file)  # made again
    load_world_model(file)
    sidecar(file).write_text('')
    with pytest.raises(CheckpointError, match='recorded is nothing'):
        load_world_model(file)


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('jepa_wm_droit', 'did you mean jepa_wm_droid'),
        ('/nowhere/m.safetensors', 'no file'),
        ('jepa_wm_droid', 'fetch it by hand from https'),
        ('/nowhere/droid_jepa-wm_noprop.pth.tar', 'no file'),
    ],
)
def test_a_model_that_is_not_there_says_what_to_do(tmp_path, name, words):
    with pytest.raises(CheckpointError, match=words):
        load_world_model(name, weights_dir=tmp_path)


def test_a_safetensors_file_of_others_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({'a': torch.zeros(2)}, tmp_path / 'm.safetensors')
    with pytest.raises(CheckpointError, match='has no jepa_wm_spec'):
        load_world_model(tmp_path / 'm.safetensors')
    (tmp_path / 'm.safetensors').write_bytes(b'not one')
    with pytest.raises(CheckpointError, match='damaged'):
        load_world_model(tmp_path / 'm.safetensors')
