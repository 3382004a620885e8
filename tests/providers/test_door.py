"""The door before a service, with a clock of the test's: when no call may begin, who tries again, how those who waited are spread."""

from __future__ import annotations

import asyncio

import pytest

from agentcli.protocol.errors import AuthenticationFailed, ProviderError, RateLimited, RequestRejected, StreamBroken, Unavailable
from agentcli.providers.door import Door, DoorPolicy, Shut, Visit

DOWN = Unavailable("house answered 503: overloaded.", provider="house", status=503)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def made(**policy: float) -> tuple[Door, Clock]:
    clock = Clock()
    return Door(policy=DoorPolicy(**{"failures": 3, **policy}), clock=clock), clock  # type: ignore[arg-type]


def let_in(door: Door, model: str = "m") -> Visit:
    visit = door.enter(model)
    assert isinstance(visit, Visit)
    return visit


def turned_away(door: Door, model: str = "m") -> Shut:
    shut = door.enter(model)
    assert isinstance(shut, Shut)
    return shut


def fail(door: Door, error: ProviderError = DOWN, times: int = 1) -> None:
    for _ in range(times):
        let_in(door).over(error)


def test_after_so_many_failures_in_a_row_nobody_goes_in_and_the_error_says_until_when() -> None:
    door, clock = made()
    fail(door, times=3)
    shut = turned_away(door)
    assert (shut.wait_s, shut.failing) == (5.0, True)
    clock.now += 1.5
    error = turned_away(door).error()
    assert (type(error), error.status, error.retryable) == (Unavailable, 503, True)
    assert error.message == "house is failing (house answered 503: overloaded); next try in 4 s."


@pytest.mark.parametrize("good", [None, RequestRejected("no", status=400), AuthenticationFailed("no", status=401), RateLimited("slow", status=429)])
def test_an_answer_in_between_also_a_refusal_ends_the_row(good: ProviderError | None) -> None:
    door, _ = made()
    fail(door, times=2)
    let_in(door).over(good)
    fail(door, times=2)
    let_in(door)


def test_when_the_pause_is_over_one_tries_and_the_others_wait_for_what_it_finds() -> None:
    door, clock = made()
    fail(door, times=3)
    clock.now += 5
    trying = let_in(door)
    shut = turned_away(door)
    assert (shut.wait_s, shut.failing) == (0.0, True)
    assert shut.error().message.endswith("it is being tried again.")
    trying.alive()
    let_in(door).over(None)


def test_each_try_that_fails_doubles_the_pause_up_to_a_bound_and_a_good_one_makes_it_short_again() -> None:
    door, clock = made(pause_most_s=15)
    fail(door, times=3)
    pauses = []
    for _ in range(4):
        pauses.append(turned_away(door).wait_s)
        clock.now += pauses[-1]
        fail(door)
    assert pauses == [5, 10, 15, 15]
    clock.now += 15
    let_in(door).over(None)
    fail(door, times=3)
    assert turned_away(door).wait_s == 5


def test_a_service_that_begins_to_answer_and_breaks_off_is_failing_again_at_once() -> None:
    door, clock = made()
    fail(door, times=3)
    clock.now += 5
    trying = let_in(door)
    trying.alive()
    trying.over(StreamBroken("cut", provider="house"))
    assert turned_away(door).failing


def test_one_that_tries_and_is_cancelled_leaves_the_try_to_the_next() -> None:
    door, clock = made()
    fail(door, times=3)
    clock.now += 5

    async def play() -> None:
        trying = let_in(door)
        waiting = asyncio.create_task(door.news())
        await asyncio.sleep(0)
        trying.gone()
        await waiting

    asyncio.run(play())
    let_in(door)


def test_a_call_that_began_before_the_door_was_shut_does_not_count_as_the_try() -> None:
    door, clock = made()
    early = let_in(door)
    fail(door, times=3)
    clock.now += 5
    let_in(door)
    early.over(DOWN)
    assert turned_away(door).wait_s == 0.0


def test_a_person_who_asks_again_need_not_wait() -> None:
    door, _ = made()
    fail(door, times=3)
    door.knock()
    let_in(door)


def test_no_failures_set_means_never_shut_for_them() -> None:
    door, _ = made(failures=0)
    fail(door, times=50)
    let_in(door)


def test_a_retry_after_holds_every_model_of_the_service_and_those_who_waited_start_one_after_the_other() -> None:
    door, clock = made(apart_s=0.5, spread_s=1.5)
    let_in(door, "a").over(RateLimited("slow down", provider="house", status=429, retry_after=12))
    clock.now += 2
    assert [round(turned_away(door, model).wait_s, 1) for model in ("a", "b", "a", "a")] == [10.0, 10.5, 11.0, 10.0]
    clock.now += 10
    let_in(door, "b")


def test_a_longer_retry_after_is_not_shortened_by_another_and_a_very_long_one_shuts_out_only_its_model() -> None:
    door, clock = made()
    under_way = [let_in(door, "a"), let_in(door, "a")]
    for visit, seconds in zip(under_way, (12, 3), strict=True):
        visit.over(RateLimited("slow", provider="house", retry_after=seconds))
    assert turned_away(door).wait_s == 12
    clock.now += 12
    let_in(door, "a").over(RateLimited("a day", provider="house", status=429, retry_after=86_400, retryable=False))
    assert turned_away(door, "a").error().message == "house asked to wait, 24 hours are left (a day)."
    let_in(door, "b")


def test_no_more_are_under_way_than_allowed_and_a_place_is_free_after_every_end() -> None:
    peak, inside = 0, 0

    async def visit(door: Door, number: int) -> None:
        nonlocal peak, inside
        async with door.slot():
            inside += 1
            peak = max(peak, inside)
            try:
                await asyncio.sleep(0.001 if number % 3 else 10)
                if number % 2:
                    raise ValueError(number)
            finally:
                inside -= 1

    async def play() -> None:
        door = Door(most=2)
        tasks = [asyncio.create_task(visit(door, number)) for number in range(12)]
        while not all(task.done() for task in tasks):
            await asyncio.sleep(0.003)
            for task in tasks[::3]:
                task.cancel()
        async with door.slot(), door.slot():
            pass

    asyncio.run(play())
    assert (peak, inside) == (2, 0)
