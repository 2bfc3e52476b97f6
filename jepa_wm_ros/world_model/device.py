# SPDX-License-Identifier: Apache-2.0
"""What a device raises when it can not go on, as errors with a fault code."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from jepa_wm_ros.errors import FaultCode, JepaWmError

CUDA_MEMORY_ALLOCATION = 2  # cudaErrorMemoryAllocation: memory asked for beside torch's allocator


class DeviceError(JepaWmError):
    """The device has no memory left (OUT_OF_MEMORY) or is gone (DEVICE_LOST)."""


@contextlib.contextmanager
def device_faults() -> Iterator[None]:
    """Raise DeviceError for what torch raises of its device; a decorator as well."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise DeviceError(
                'out of memory: use a smaller model or picture, or free the device',
                FaultCode.OUT_OF_MEMORY,
            ) from error
        if isinstance(error, torch.AcceleratorError):
            reason = (str(error).splitlines() or ['no reason given'])[0]
            raise DeviceError(
                f'the device of the model is lost ({reason}): look at it and configure the '
                'world_model node in a new process',
                FaultCode.DEVICE_LOST,
            ) from error
        raise


def is_out_of_memory(error: Exception) -> bool:
    """Whether `error` is a lack of memory, which has a class but in the CPU's allocator: there
    torch raises a bare RuntimeError, known by that allocator's name.
    """
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, torch.AcceleratorError):
        return getattr(error, 'error_code', None) == CUDA_MEMORY_ALLOCATION
    return isinstance(error, RuntimeError) and 'DefaultCPUAllocator' in str(error)
