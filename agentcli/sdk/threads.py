"""Functions of a program that may block (a tool, a permission callback), run beside the event loop. No session is known here."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
from collections.abc import Callable
from typing import Any


async def call_either(function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """Calls a function that is async or not: an async one on this loop, any other in a thread of its own, where it may block."""
    if inspect.iscoroutinefunction(function):
        return await function(*args, **keywords)
    said = await in_thread(lambda: function(*args, **keywords))
    return await said if inspect.isawaitable(said) else said


async def caught(function: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """As `call_either`, but what the function raises is given back as if it had returned it. A cancel of the wait is raised."""
    said: Any = (await asyncio.gather(call_either(function, *args, **keywords), return_exceptions=True))[0]
    if isinstance(said, asyncio.CancelledError):
        raise said
    return said


async def in_thread(function: Callable[[], Any]) -> Any:
    """What `function` gives, run in a daemon thread of its own; what it raises is raised here.

    Not asyncio's pool: its few threads would be all taken by callbacks that wait for a person, and joined at the interpreter's end. A
    cancelled wait leaves the thread to itself.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()
    context = contextvars.copy_context()

    def settle(value: Any, error: Exception | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(value)
        else:
            done.set_exception(error)

    def tell(value: Any, error: Exception | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile: nobody waits any more
            loop.call_soon_threadsafe(settle, value, error)

    def work() -> None:
        try:
            value = context.run(function)
        except BaseException as error:  # noqa: BLE001 - carried to whoever awaits, and raised there
            tell(None, _portable(error))
        else:
            tell(value, None)

    threading.Thread(target=work, name=f"agentcli {getattr(function, '__name__', 'call')}", daemon=True).start()
    return await done


def _portable(error: BaseException) -> Exception:
    """What may be raised through a future and an event loop: neither of them takes StopIteration, and SystemExit would end the loop."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    stand_in = RuntimeError(f"{type(error).__name__}: {error}")
    stand_in.__cause__ = error
    return stand_in
