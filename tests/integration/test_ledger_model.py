"""Whatever happens, in whatever order: the ledger stays true, and every message comes to its end.

Hypothesis makes up histories: mailings that are paused, moved and deleted, planners that stall, senders that die,
messages on the wire that are late, repeated or lost. The planner's and the API's functions are the real ones, on
a real PostgreSQL; what is around them is `tests.integration.ledger_model`. After every step the ledger is held
against `tests.integration.ledger_audit`, and at the end of a history all of it must come to rest.

`MAILING_MODEL_EXAMPLES=2000` makes it a long search, of random histories instead of always the same ones.
"""

import asyncio
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydantic import SecretStr

from services.api import mailings
from services.planner import reaping
from services.planner.settings import PlannerSettings
from shared.database import open_engine
from tests.integration.ledger_model import Answer, Circumstances, Clock, Fate, Sender
from tests.integration.ledger_world import OTHER_TAG, TAG, End, Stage, Step, World

EXAMPLES = int(os.environ.get("MAILING_MODEL_EXAMPLES", "0"))
PROFILE = settings(
    max_examples=EXAMPLES or 25,
    stateful_step_count=40,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
CHANGES = ["create", "create", "pause", "resume", "resume", "move", "move", "cancel", "delete"]
REAPING = [reaping.expire, reaping.cancel, reaping.finish, reaping.purge]
MOST_CLIENTS, MOST_MAILINGS, MOST_SENDERS = 60, 4, 3

Found = TypeVar("Found")

CIRCUMSTANCES = st.builds(
    Circumstances,
    st.lists(st.sampled_from([Answer.TAKES, *Answer]), min_size=1, max_size=2),
    circuit_open=st.sampled_from([False, False, False, True]),
    retry_after=st.sampled_from([None, None, 30.0]),
)
DELIVERIES = st.lists(CIRCUMSTANCES, min_size=1, max_size=9)


class History(RuleBasedStateMachine):
    """One history, from a few clients and a mailing to the rest."""

    stage: Stage
    idempotent: bool

    @initialize(end=st.sampled_from(End), clients=st.integers(1, 30))
    def begin(self, end: End, clients: int) -> None:
        self._end = end
        self._runner = self.stage.runner
        self._world = World(self.stage, idempotent=self.idempotent)
        self._wire = self._world.wire
        self._runner.run(self._world.begin(clients))

    @invariant()
    def the_ledger_is_true(self) -> None:
        self._runner.run(self._world.look())

    def teardown(self) -> None:
        if sys.exception() is None:
            self._runner.run(self._world.come_to_rest(self._end))

    @rule(seconds=st.sampled_from([0.05, 1, 6, 11, 30, 62]), leases_run_out=st.booleans())
    def time_passes(self, seconds: float, *, leases_run_out: bool) -> None:
        self._world.pass_time(seconds)
        if leases_run_out:
            self._world.pass_time(80)
            self._runner.run(self._world.ask_to_reclaim())

    # The operator

    @rule(data=st.data(), count=st.integers(1, 12), tag=st.sampled_from([TAG, TAG, OTHER_TAG]))
    def clients_come_and_go(self, data: st.DataObject, count: int, tag: str) -> None:
        present = sorted(self._world.ledger.clients)
        if present and (len(present) > MOST_CLIENTS or _perhaps(data)):
            self._runner.run(self._world.delete_client(_one_of(data, present)))
        else:
            self._runner.run(self._world.add_clients(count, tag))

    @rule(data=st.data(), what=st.sampled_from(CHANGES))
    def a_mailing_is_created_or_changed(self, data: st.DataObject, what: str) -> None:
        present = sorted(self._world.ledger.mailings)
        if not present or (what == "create" and len(present) < MOST_MAILINGS):
            lasts = _one_of(data, [3_000, 3_000, 120, 30])
            self._runner.run(self._world.create_mailing(_one_of(data, [-5, 0, 20]), lasts))
        elif what in {"create", "move"}:
            times = _one_of(data, [None, None, -5, 10]), _one_of(data, [3_000, 3_000, 40, 2])
            self._runner.run(self._world.move(_one_of(data, present), *times))
        else:
            self._runner.run(self._world.change_state(_one_of(data, present), getattr(mailings, what)))

    # The planners

    @rule(fates=st.lists(st.sampled_from(Fate), max_size=3))
    def a_planner_releases(self, fates: list[Fate]) -> None:
        self._runner.run(self._world.release(fates))

    @precondition(lambda self: self._world.ledger.mailings)
    @rule(data=st.data(), fate=st.sampled_from(Fate))
    def a_planner_stalls_before_it_publishes_or_goes_on(self, data: st.DataObject, fate: Fate) -> None:
        if self._world.stalled and _perhaps(data):
            self._runner.run(self._world.go_on_publishing(_one_of(data, self._world.stalled), fate))
        else:
            mailing_id = _one_of(data, sorted(self._world.ledger.mailings))
            self._runner.run(self._world.stall_before_publishing(mailing_id, 4))

    @precondition(lambda self: self._wire.senders)
    @rule(data=st.data(), acknowledged=st.booleans())
    def a_planner_records(self, data: st.DataObject, *, acknowledged: bool) -> None:
        if not self._wire.reports:
            self._world.report(self._with_runs(data))
        if self._wire.reports:
            count = data.draw(st.integers(1, len(self._wire.reports)))
            self._runner.run(self._world.record(count, acknowledged=acknowledged))

    @rule(what=st.sampled_from([None, "expand_once", "expand_all", *REAPING]))
    def a_planner_makes_its_rounds(self, what: str | Step | None) -> None:
        match what:
            case None:
                self._runner.run(self._world.ask_to_reclaim())
            case str():
                self._runner.run(getattr(self._world, what)())
            case _:
                self._runner.run(self._world.reap(what))

    # The wire

    @rule(data=st.data())
    def stops_travel(self, data: st.DataObject) -> None:
        unheard = [sender for sender in self._wire.senders if sender.inbox]
        if unheard and _perhaps(data):
            _one_of(data, unheard).hear_all()
        else:
            self._runner.run(self._world.relay())

    @precondition(lambda self: self._wire.jobs or self._wire.reports)
    @rule(data=st.data(), report=st.booleans(), only_late=st.booleans())
    def something_is_lost_or_late(self, data: st.DataObject, *, report: bool, only_late: bool) -> None:
        if self._wire.jobs and not (report and self._wire.reports):
            self._wire.jobs.remove(_one_of(data, self._wire.jobs))
        elif only_late:
            self._world.delay_report(_one_of(data, self._wire.reports))
        else:
            self._world.lose_report(_one_of(data, self._wire.reports))

    # The senders

    @rule(data=st.data())
    def a_sender_starts_or_connects_again(self, data: st.DataObject) -> None:
        cut_off = [sender for sender in self._wire.senders if not sender.connected]
        if cut_off and (len(self._wire.senders) == MOST_SENDERS or _perhaps(data)):
            self._runner.run(self._world.reconnect(_one_of(data, cut_off)))
        elif len(self._wire.senders) < MOST_SENDERS:
            self._runner.run(self._world.start_sender())

    @precondition(lambda self: self._wire.senders)
    @rule(data=st.data(), most=st.integers(1, 3))
    def a_sender_takes_jobs(self, data: st.DataObject, most: int) -> None:
        sender = _one_of(data, self._wire.senders)
        for _ in range(most):
            self._take(data, sender)

    @precondition(lambda self: self._wire.senders)
    @rule(data=st.data(), found=DELIVERIES, reports=st.booleans(), confirmed=st.sampled_from([True, True, False]))
    def a_sender_delivers(
        self, data: st.DataObject, found: list[Circumstances], *, reports: bool, confirmed: bool
    ) -> None:
        sender = self._with_runs(data)
        self._deliver(data, sender, found)
        if reports:
            self._world.report(sender, confirmed=confirmed)

    @precondition(lambda self: self._wire.senders)
    @rule(data=st.data(), what=st.sampled_from(["cut_off", "cut_off", "kill", "terminate"]))
    def a_sender_ends_or_is_cut_off(self, data: st.DataObject, what: str) -> None:
        getattr(self._world, what)(self._with_runs(data))

    # What one step takes for granted of the others, so that most histories get far

    def _with_runs(self, data: st.DataObject) -> Sender:
        """A sender that has something in hand, if that can be."""
        having = [sender for sender in self._wire.senders if sender.runs]
        sender = _one_of(data, having or self._wire.senders)
        if not having:
            self._take(data, sender)
        return sender

    def _take(self, data: st.DataObject, sender: Sender) -> None:
        if not self._wire.jobs:
            self._runner.run(self._world.release())
        if sender.connected and self._wire.jobs:
            self._world.take(sender, _one_of(data, self._wire.jobs))

    def _deliver(self, data: st.DataObject, sender: Sender, found: list[Circumstances]) -> None:
        for circumstances in found:
            if not sender.busy:
                self._take(data, sender)
            if sender.busy:
                self._world.deliver(sender, _one_of(data, sender.busy), circumstances)


def _one_of(data: st.DataObject, things: Sequence[Found]) -> Found:
    return data.draw(st.sampled_from(things))


def _perhaps(data: st.DataObject) -> bool:
    return data.draw(st.booleans())


@pytest.fixture
def stage(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    clock = Clock()
    monkeypatch.setattr(mailings, "utc_now", clock)
    planner = PlannerSettings(
        database_url=SecretStr(database_url),
        broker_url=SecretStr("amqp://nowhere"),
        chunk_size=3,
        expand_batch=7,
        release_least=6,
        backoff_most=timedelta(seconds=20),
    )
    engine = open_engine(planner.database_url, "model", connections=2)
    reading = open_engine(planner.database_url, "model", connections=1, autocommit=True)
    # A loop of its own, which is not made the current one: others are at work in this process.
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield Stage(runner, engine, reading, clock, planner)
        runner.run(engine.dispose())
        runner.run(reading.dispose())


@pytest.mark.timeout(0 if EXAMPLES else 120)
@pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "not idempotent"])
def test_whatever_happens_the_ledger_is_true_and_every_message_comes_to_its_end(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, idempotent: bool
) -> None:
    monkeypatch.setattr(History, "stage", stage, raising=False)
    monkeypatch.setattr(History, "idempotent", idempotent, raising=False)
    run_state_machine_as_test(History, settings=PROFILE)


# Histories that were found, in short


def test_a_planner_that_stalled_does_not_take_a_job_back_that_was_released_again(stage: Stage) -> None:
    async def story(world: World) -> None:
        await world.begin(3)
        await world.stall_before_publishing(1, 3)
        world.pass_time(80)
        await world.ask_to_reclaim()
        await world.record(1, acknowledged=True)
        await world.release()
        (sender,) = world.wire.senders
        world.take(sender, world.wire.jobs[0])
        world.deliver(sender, sender.busy[0], Circumstances([Answer.TAKES]))
        await world.go_on_publishing(world.stalled[0], Fate.REFUSED)
        assert await world.release() == 0, "the job is with a sender"
        await world.come_to_rest(End.WELL)

    stage.runner.run(story(World(stage, idempotent=True)))


def test_nothing_is_sent_after_an_end_that_was_moved_forward(stage: Stage) -> None:
    async def story(world: World) -> None:
        await world.begin(3)
        await world.release()
        (sender,) = world.wire.senders
        world.take(sender, world.wire.jobs[0])
        await world.move(1, starts_in=None, ends_in=2)
        await world.relay()
        sender.hear_all()
        world.pass_time(3)
        world.deliver(sender, sender.busy[0], Circumstances([Answer.TAKES]))
        assert world.posts == 0
        await world.come_to_rest(End.WELL)

    stage.runner.run(story(World(stage, idempotent=True)))
