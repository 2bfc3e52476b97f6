# SPDX-License-Identifier: Apache-2.0
"""The simulated cell: one scene, an arm server that speaks the real arm's protocol, cameras."""
