# SPDX-License-Identifier: Apache-2.0
"""The life cycle that every node shares.

One executor thread runs the callbacks of a node, and none of them blocks: slow work goes to a
`Worker` thread and the callback awaits it. (rclpy's MultiThreadedExecutor collapses at camera
rates, and a neural network inside a callback would starve every other one.) Transitions have a
thread of their own, so that a node still hears and answers while it connects or comes to rest.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.lifecycle import LifecycleNodeMixin, LifecycleState, TransitionCallbackReturn

from jepa_wm_ros.errors import Fault, FaultCode, JepaWmError
from jepa_wm_ros.ros.base.diagnostics import Diagnostics
from jepa_wm_ros.ros.base.faults import one_line
from jepa_wm_ros.ros.base.owner import Owner
from jepa_wm_ros.ros.base.qos import mismatches
from jepa_wm_ros.ros.base.worker import Worker

SUCCESS = TransitionCallbackReturn.SUCCESS
FAILURE = TransitionCallbackReturn.FAILURE
ERROR = TransitionCallbackReturn.ERROR


class NodeBase(LifecycleNodeMixin, Owner):
    """A life-cycle node whose subclasses fill `setup`, `start`, `halt` and `teardown`.

    setup     take what takes time: load models, connect hardware (configure)
    start     make what is heard, said and served (activate)
    halt      ask everything that moves or works to stop, and see that it does (deactivate)
    teardown  let go of what `setup` took and the base does not know of (clean-up)

    What is made in `setup` is released after `teardown`, what is made in `start` after `halt`, when
    the workers have come to rest and every call is answered. So an inactive node publishes nothing
    but /diagnostics, which it does from configure on, and serves nothing but its life cycle and
    parameters.

    A `JepaWmError` of `setup` or `start` undoes the transition. Any other error, and whatever keeps
    a node from coming to rest, releases everything and leaves it unconfigured.
    """

    diagnostics: Diagnostics

    def __init__(self, name: str) -> None:
        Owner.__init__(self, name)
        LifecycleNodeMixin.__init__(self, callback_group=ReentrantCallbackGroup())
        self._change = self._service_change_state.callback
        self._service_change_state.callback = self._on_change_state
        self.transitions = Worker(self, 'transitions')
        self.failure: str | None = None  # why the last transition failed
        self.halting = False  # from the begin of a deactivation to the next activation
        self.over = threading.Event()  # the node has been shut down
        self._lost: BaseException | None = None
        self._stage = 'unconfigured'
        self.declare(
            'autostart', True, 'Configure and activate by itself at start-up.', read_only=True
        )

    def destroy_node(self) -> None:
        """As rclpy's, with the thread of the transitions."""
        with contextlib.suppress(JepaWmError):
            self.transitions.stop()
        super().destroy_node()

    def now_ns(self) -> int:
        """The node clock (ROS time) in nanoseconds."""
        return self.get_clock().now().nanoseconds

    def setup(self) -> None:
        """Allocate."""

    def start(self) -> None:
        """Begin."""

    def halt(self) -> None:
        """Stop."""

    def teardown(self) -> None:
        """Release."""

    def fail(self, error: BaseException) -> None:
        """A worker has lost what it works with: stop, release everything, become unconfigured."""
        if self._lost is None and self._stage == 'active':
            self._lost = error
            self.transitions.submit(self.trigger_deactivate)

    def stopping_fault(self) -> Fault:
        """What those are told whose work ends because the node stops."""
        why = one_line(self._lost) if self._lost else 'it is being deactivated'
        return Fault(FaultCode.STOPPED, f'node {self.get_name()} stopped: {why}')

    def add_part(self, name: str, part: Callable) -> None:
        """Speak of a part in /diagnostics for as long as the present phase lasts."""
        self.diagnostics.parts[name] = part
        self.own(lambda: self.diagnostics.parts.pop(name, None))

    # Transitions

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        result = self._make('configure', self._set_up)
        self._stage = 'inactive' if result == SUCCESS else 'unconfigured'
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.halting, self._lost = False, None
        result = self._make('activate', self.start)
        self._stage = 'active' if result == SUCCESS else self._stage
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        failed = not self._come_to_rest()
        if failed or self._lost is not None:
            if self._lost is not None:
                self._tell(self._lost, 'active')
            return ERROR
        self._stage = 'inactive'
        return SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stage = 'unconfigured'
        undone = self._try(self.teardown, 'clean-up')
        return SUCCESS if self._release('configure') and undone else ERROR

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        self.over.set()
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        return SUCCESS

    def close(self) -> None:
        """Stop and release whatever there is; safe to call at any time."""
        if self._stage == 'active' or self._owned['activate']:
            self._come_to_rest()
        if self._stage != 'unconfigured' or self._owned['configure']:
            self._stage = 'unconfigured'
            self._try(self.teardown, 'clean-up')
            self._release('configure')

    def _set_up(self) -> None:
        self.diagnostics = Diagnostics(self)
        self.diagnostics.parts['node'] = lambda: (Diagnostics.OK, self._stage, {})
        self.diagnostics.parts['topics'] = self._topics_state
        self.setup()

    def _topics_state(self):
        apart = list(mismatches(self))
        if apart:
            return Diagnostics.ERROR, '; '.join(apart), {}
        return Diagnostics.OK, 'every peer can be heard', {}

    def _make(self, phase: str, step: Callable[[], None]) -> TransitionCallbackReturn:
        try:
            with self.making(phase):
                step()
        except JepaWmError as error:
            self._tell(error, phase)
            if phase == 'configure':
                self._try(self.teardown, 'clean-up')
            return FAILURE if self._release(phase) else ERROR
        except Exception as error:
            self._tell(error, phase)
            return ERROR
        return SUCCESS

    def _come_to_rest(self) -> bool:
        """Stop what moves and release what is heard, said and served; whether all of it went."""
        self.halting, self._stage = True, 'inactive'
        halted = self._try(self.halt, 'deactivate')
        rests = self._try(self.rest, 'deactivate')
        return self._release('activate') and halted and rests

    def _release(self, phase: str) -> bool:
        return self._try(lambda: self.release(phase), f'release after {phase}')

    def _try(self, step: Callable[[], None], where: str) -> bool:
        try:
            step()
        except Exception as error:
            self._tell(error, where)
            return False
        return True

    def _tell(self, error: BaseException, where: str) -> None:
        self.failure = one_line(error)
        self.errors.tell(error, where)

    async def _on_change_state(self, request, response):
        try:
            return await self.transitions.submit(self._change, request, response)
        except _rclpy.RCLError as error:  # not a transition of the present state
            self.errors.tell(JepaWmError(one_line(error)), 'change_state')
            response.success = False
            return response
