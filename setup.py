# SPDX-License-Identifier: Apache-2.0
"""The package for colcon (ament_python) and for pip; the tested environment is requirements/."""

import runpy
import sys
from pathlib import Path

from setuptools import find_packages, setup

NAME = 'jepa_wm_ros'
ROOT = Path(__file__).parent


def shared_files(*folders):
    """(destination, [files]) of every data file below `folders`, sub-folders kept."""
    paths = [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob('*'))
        if path.is_file() and '__pycache__' not in path.parts
    ]
    return [
        (f'share/{NAME}/{path.parent.relative_to(ROOT)}', [str(path.relative_to(ROOT))])
        for path in paths
    ]


def scripts():
    """`ros2 run` and launch want an executable of every command and node in lib/jepa_wm_ros, where
    setup.cfg has colcon and bloom put them. pip, which builds wheels, puts scripts on everybody's
    PATH: one is enough there.
    """
    if {'bdist_wheel', 'dist_info', 'editable_wheel'} & set(sys.argv):
        return [f'jepa-wm = {NAME}.cli:main']
    table = runpy.run_path(str(ROOT / NAME / 'cli.py'))
    return [f'{name} = {NAME}.cli:executable' for name in table['CALLED']]


setup(
    name=NAME,
    version='0.1.0',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        *shared_files('config', 'launch', 'weights'),
    ],
    python_requires='>=3.11',
    install_requires=['setuptools', 'numpy', 'scipy', 'array-api-compat'],
    extras_require={
        'model': ['torch>=2.6', 'torchvision', 'timm>=1.0.20', 'safetensors', 'nevergrad'],
        'arm': ['franky-control>=2.0'],
        'sim': ['franky-sim>=1.0', 'mujoco>=3.3', 'pymunk>=7', 'metaworld>=3.0'],
        'bags': ['rosbags>=0.11', 'matplotlib', 'pillow', 'jinja2'],
        'learning': ['h5py', 'tqdm', 'pyarrow', 'av', 'tensorboardX'],
        'test': ['pytest', 'hypothesis'],
    },
    zip_safe=False,
    url='https://arxiv.org/abs/2512.24497',
    author='jepa_wm_ros maintainers',
    author_email='maintainers@users.noreply.r-seed-a4010bc8.example',
    maintainer='jepa_wm_ros maintainers',
    maintainer_email='maintainers@users.noreply.r-seed-a4010bc8.example',
    description='Reach goal pictures with a Franka arm by planning in the latent space of '
    'JEPA world models.',
    license='Apache-2.0',
    entry_points={'console_scripts': scripts()},
)
