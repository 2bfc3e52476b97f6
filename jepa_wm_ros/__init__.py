# SPDX-License-Identifier: Apache-2.0
"""Reach goal pictures with a Franka arm by planning in the latent space of JEPA world models."""
