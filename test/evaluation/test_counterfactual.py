# SPDX-License-Identifier: Apache-2.0
"""The counterfactual picture of any model and recording."""

import numpy as np
import pytest
import torch

from jepa_wm_ros.evaluation import counterfactual
from jepa_wm_ros.evaluation.offline.illustrate import SIDE
from jepa_wm_ros.evaluation.offline.pictures import square
from jepa_wm_ros.recordings.formats import open_episodes
from jepa_wm_ros.recordings.formats.hdf5 import EpisodeWriter
from jepa_wm_ros.world_model import build, load_world_model, save_world_model
from jepa_wm_ros.world_model.files.decoders import decoder_file, save_decoder
from jepa_wm_ros.world_model.files.registry import cell_spec
from jepa_wm_ros.world_model.picture_decoder import PictureDecoder
from support.tiny_models import tiny_spec
from support.toy_training import toy_episode

STEP = SIDE + 3  # from one picture of a strip to the next


@pytest.fixture
def files(tmp_path, one_thread):
    """A model with a decoder beside it, and two episodes."""
    torch.manual_seed(0)
    model = build(cell_spec(depth=1, predictor_width=32, heads=2, predict_change=False), seed=0)
    model.decoder = PictureDecoder(model.spec)
    save_world_model(model, tmp_path / 'm.safetensors')
    save_decoder(model, decoder_file(tmp_path / 'm.safetensors'), {})
    with EpisodeWriter(tmp_path / 'data', 'a') as writer:
        for seed in (0, 1):
            writer.write(seed, toy_episode(seed))
    return tmp_path / 'm.safetensors', tmp_path / 'data'


@torch.no_grad()
def imagined(model, episode, frame, stroke):
    """By hand: the gripper moved in two steps, then three of 5 cm up."""
    actions = torch.zeros(5, 1, 7)
    actions[2:, :, 2] = 0.05
    actions[:2, :, 6] = stroke
    now = model.encode(
        model.prepare_images(np.asarray(episode.frames[frame : frame + 1])),
        torch.from_numpy(episode.proprio[frame : frame + 1]),
    )
    return model.decode(model.unroll(now, model.normalize_actions(actions))).numpy()


def test_the_picture_is_what_is_decoded_of_both_rollouts_from_that_frame(files):
    path, data = files
    model, episodes = load_world_model(path), open_episodes(data)
    strip = counterfactual.counterfactual(model, episodes, episode=1, frame=4)
    assert 'decoded' in strip.title and 'frame 4 of episode 1' in strip.title
    assert [caption for caption, _ in strip.rows] == ['open and up', 'close and up']
    for (_, row), stroke in zip(strip.rows, (-0.5, 0.5), strict=True):
        assert np.array_equal(row[:, :SIDE], square(episodes[1].frames[4:5][0], SIDE))
        for step, picture in enumerate(imagined(model, episodes[1], 4, stroke)[1:], start=1):
            shown = row[:, step * STEP : step * STEP + SIDE]
            # Side by side numbers add up in another order than one by one: a grey level somewhere.
            apart = np.abs(shown.astype(int) - square(picture, SIDE)).max()
            assert apart <= 1
    assert not np.array_equal(strip.rows[0][1], strip.rows[1][1])


def test_without_a_decoder_it_is_made_of_recorded_frames(files):
    path, data = files
    decoder_file(path).unlink()
    episodes = open_episodes(data)
    strip = counterfactual.counterfactual(load_world_model(path), episodes)
    recorded = [square(frame, SIDE) for e in episodes for frame in np.asarray(e.frames[0:99])]
    assert 'nearest in latent space, out of 18' in strip.title
    for _, row in strip.rows:
        for step in range(1, 6):
            shown = row[:, step * STEP : step * STEP + SIDE]
            assert any(np.array_equal(shown, frame) for frame in recorded)


def test_the_command_writes_it(files, tmp_path, capsys):
    from matplotlib import image

    path, data = files
    out = tmp_path / 'new' / 'picture.png'
    assert counterfactual.main([str(path), str(data), '--out', str(out)]) == 0
    said = capsys.readouterr().out
    assert 'decoded' in said and str(out) in said
    height, width = image.imread(out).shape[:2]
    assert width > 6 * SIDE and height > 2 * SIDE


@pytest.mark.parametrize(
    'words, message',
    [
        (['--episode', '2'], 'no episode 2, but 0 to 1'),
        (['--frame', '9'], 'episode 0 has no frame 9, but 0 to 8'),
        (['--episode', '-1'], 'no episode -1'),
    ],
)
def test_a_frame_that_is_not_there_is_one_line(files, tmp_path, capsys, words, message):
    path, data = files
    words = [str(path), str(data), '--out', str(tmp_path / 'p.png'), *words]
    assert counterfactual.main(words) == 1
    said = capsys.readouterr().err
    assert message in said and said.count('\n') == 1


def test_a_model_of_other_actions_is_refused(files, tmp_path, capsys):
    _, data = files
    save_world_model(build(tiny_spec('other'), seed=0), tmp_path / 'o.safetensors')
    words = [str(tmp_path / 'o.safetensors'), str(data), '--out', str(tmp_path / 'p.png')]
    assert counterfactual.main(words) == 1
    assert 'takes 10 numbers per action' in capsys.readouterr().err
