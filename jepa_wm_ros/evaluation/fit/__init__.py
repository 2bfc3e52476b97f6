# SPDX-License-Identifier: Apache-2.0
"""Whether model, camera, frame and planner fit together: judged on small motions of an arm."""
