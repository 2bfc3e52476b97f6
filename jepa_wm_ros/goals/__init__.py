# SPDX-License-Identifier: Apache-2.0
"""Pictures as a person would judge them: does one show anything, is it live, whose camera is it."""
