"""An event loop in a thread of its own, for programs that do not await: work is handed over and waited for. Knows no agent and no session."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Generic, ParamSpec, TypeVar

from agentcli.protocol.errors import SessionClosed, UsageError

T = TypeVar("T")
P = ParamSpec("P")
R = TypeVar("R")
Make = Callable[[], Coroutine[Any, Any, T]]
END_S = 10.0
"""How long an interrupted call may take to put things in order before it is left to itself."""
JOIN_S = 5.0


class Job(Generic[T]):
    """One piece of work on the loop, waited for from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, make: Make[T]) -> None:
        self.done: Future[T] = Future()
        self._loop = loop
        self._make = make
        self._task: asyncio.Task[T] | None = None

    def result(self) -> T:
        """Waits for the end. Whatever interrupts the wait (Ctrl-C, say) ends the work too, and is raised on.

        Raises:
            SessionClosed: the loop was ended meanwhile. What the work raises.
        """
        try:
            return self.done.result()
        except asyncio.CancelledError:
            raise SessionClosed("the agent was closed while this call ran.") from None
        except BaseException:
            self.end()
            raise

    def end(self) -> None:
        """Cancels the work, where it still runs, and waits until it has put things in order."""
        if not self.done.done():
            self.cancel()
            wait([self.done], END_S)

    def cancel(self) -> None:
        """As `end`, without waiting."""
        with contextlib.suppress(RuntimeError):  # the loop is gone, and the work with it
            self._loop.call_soon_threadsafe(self._cancel)

    def start(self) -> None:
        """On the loop."""
        self._task = self._loop.create_task(self._make())
        self._task.add_done_callback(self._settle)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _settle(self, task: asyncio.Task[T]) -> None:
        self._task = None
        if task.cancelled():
            self.done.set_exception(asyncio.CancelledError())
        elif (error := task.exception()) is not None:
            self.done.set_exception(error)
        else:
            self.done.set_result(task.result())


class LoopThread:
    """Started by the first call, ended by `stop`. Any thread may call but its own."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.RLock()  # a signal's handler may call while the thread it interrupts holds it
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    @property
    def started(self) -> bool:
        return self._thread is not None

    @property
    def is_current(self) -> bool:
        return threading.current_thread() is self._thread

    def run(self, make: Make[T]) -> T:
        """Runs a coroutine there and waits for it.

        Raises:
            SessionClosed: after `stop`. UsageError: called from the loop's own thread, which would wait for itself.
        """
        return self.begin(make).result()

    def begin(self, make: Make[T]) -> Job[T]:
        """As `run`, without waiting."""
        if self.is_current:
            raise UsageError("a waiting call was made from the agent's own thread (an async tool or callback).", hint="Use AsyncAgent there.")
        with self._lock:  # no stop in between: the loop would end without the job, and whoever waits for it would wait for ever
            loop = self._running()
            job = Job(loop, make)
            loop.call_soon_threadsafe(job.start)
        return job

    def stop(self) -> None:
        """Ends the loop; what still runs on it is cancelled. Safe to call twice, also from the loop's own thread."""
        with self._lock:
            first, self._stopped = not self._stopped, True
            loop, thread = self._loop, self._thread
            if loop is None or thread is None or not thread.is_alive():
                return
            if first:  # another would cut short what the loop does last
                loop.call_soon_threadsafe(loop.stop)
        if not self.is_current:
            thread.join(JOIN_S)

    def stop_after(self, make: Make[None]) -> None:
        """As `stop` from the loop's own thread, after a last piece of work there."""
        assert self.is_current and self._loop is not None
        self._loop.create_task(make()).add_done_callback(lambda _: self.stop())

    def _running(self) -> asyncio.AbstractEventLoop:
        """The loop, started where it is not yet; the lock is held. Raises SessionClosed."""
        if self._stopped or (self._thread is not None and not self._thread.is_alive()):
            raise _closed()
        if self._loop is None:
            self._loop, pool = asyncio.new_event_loop(), _LastingPool(thread_name_prefix="agentcli")
            self._loop.set_default_executor(pool)
            self._thread = threading.Thread(target=_serve, args=(self._loop, pool, lambda: self._stopped), name=self._name, daemon=True)
            self._thread.start()
        return self._loop


class _LastingPool(ThreadPoolExecutor):
    """At the interpreter's end no pool takes work any more, and an agent that nobody closed is put in order only then: here and now."""

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError:
            if threading.main_thread().is_alive():
                raise  # no thread was to be had, and the work may be queued already
            done: Future[R] = Future()
            try:
                done.set_result(fn(*args, **kwargs))
            except Exception as error:  # noqa: BLE001 - carried to whoever awaits, and raised there
                done.set_exception(error)
            return done


def _serve(loop: asyncio.AbstractEventLoop, pool: ThreadPoolExecutor, stopped: Callable[[], bool]) -> None:
    asyncio.set_event_loop(loop)
    while not stopped():
        # A program's own async function that raises SystemExit must not take every other session's loop with it.
        with contextlib.suppress(SystemExit, KeyboardInterrupt):
            loop.run_forever()
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
    loop.run_until_complete(loop.shutdown_asyncgens())
    pool.shutdown()  # here: the loop would start a thread for it, which it may not at the interpreter's end
    loop.close()


def _closed() -> SessionClosed:
    return SessionClosed("the agent is closed.", hint="Make another with Agent.create(...).")
