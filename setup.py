# SPDX-License-Identifier: Apache-2.0
"""The package for colcon (ament_python) and for pip; the tested environment is requirements/."""

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


setup(
    name=NAME,
    version='0.1.0',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    data_files=[
        ('share/ament_index/resource_index/packages', [f'resource/{NAME}']),
        (f'share/{NAME}', ['package.xml']),
        *shared_files('config', 'launch', 'weights'),
    ],
    python_requires='>=3.10',
    install_requires=['setuptools', 'numpy', 'scipy', 'array-api-compat'],
    extras_require={
        'model': ['torch>=2.6', 'torchvision', 'timm>=1.0.20', 'safetensors', 'nevergrad'],
        'arm': ['franky-control>=2.0'],
        'sim': ['franky-sim>=1.0', 'mujoco>=3.3'],
        'bags': ['rosbags>=0.11', 'matplotlib', 'pillow', 'jinja2'],
        'learning': ['h5py', 'tqdm'],
        'test': ['pytest', 'hypothesis'],
    },
    zip_safe=False,
    author='jepa_wm_ros maintainers',
    maintainer='jepa_wm_ros maintainers',
    maintainer_email='maintainers@users.noreply.r-seed-a4010bc8.example',
    description='Reach goal pictures with a Franka arm by planning in the latent space of '
    'JEPA world models.',
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'world_model = jepa_wm_ros.ros.start:world_model',
            'planner = jepa_wm_ros.ros.start:planner',
            'franka_controller = jepa_wm_ros.ros.start:franka_controller',
            'sim_cell = jepa_wm_ros.ros.start:sim_cell',
            'goal_gallery = jepa_wm_ros.ros.start:goal_gallery',
            'goals = jepa_wm_ros.ros.goals_command:main',
            'check_camera = jepa_wm_ros.ros.check_camera:main',
            'diagnose = jepa_wm_ros.ros.diagnose:main',
            'camera_reference = jepa_wm_ros.ros.camera_reference:main',
            'demo = jepa_wm_ros.ros.demo.command:main',
            'model = jepa_wm_ros.world_model.files.command:main',
            'evaluate_bag = jepa_wm_ros.evaluation.offline.command:main',
            'record = jepa_wm_ros.sim.record:main',
            'train = jepa_wm_ros.learning.train:main',
        ]
    },
)
