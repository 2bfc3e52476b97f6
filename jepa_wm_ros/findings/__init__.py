# SPDX-License-Identifier: Apache-2.0
"""The paper's questions, asked again by one command: what drives success in physical planning?"""
