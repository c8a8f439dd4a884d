"""Random histories: the ledger stays true, and every message gets a final status.

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
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from pydantic import SecretStr

from services.api.mailings import commands as mailings
from services.planner import reaping
from services.planner.settings import PlannerSettings
from shared.database.engine import open_engine
from tests.integration.ledger_model import Answer, Circumstances, Clock, Fate, Sender
from tests.integration.ledger_world import OTHER_TAG, TAG, End, Stage, World

EXAMPLES = int(os.environ.get("MAILING_MODEL_EXAMPLES", "0"))
PROFILE = settings(
    max_examples=EXAMPLES or 12,
    stateful_step_count=40,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),
)
CHANGES = ["pause", "resume", "resume", "move", "move", "cancel", "delete"]
OFTEN = {
    "a_planner_records": 4,
    "a_sender_delivers": 3,
    "a_sender_delivers_and_reports": 3,
    "a_planner_releases": 2,
    "a_sender_is_gone": 2,
    "a_sender_starts": 2,
    "a_sender_takes_jobs": 2,
    "time_passes": 2,
}
SELDOM = [
    "clients_come_and_go",
    "a_mailing_is_created",
    "a_mailing_is_changed",
    "a_planner_expands",
    "a_planner_stalls_before_it_publishes",
    "a_stalled_planner_goes_on",
    "a_planner_makes_its_rounds",
    "leases_run_out",
    "stops_travel",
    "a_job_is_lost",
    "a_report_is_lost_or_late",
    "a_sender_connects_again",
]
STEPS = [*SELDOM, *(step for step, times in OFTEN.items() for _ in range(times))]
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

    @initialize(end=st.sampled_from(End), clients=st.sampled_from([30, 15, 3]))
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

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        """One rule for all, as Hypothesis would choose half of the rules for a history and leave out the others:
        then few histories get far."""
        getattr(self, f"_{_one_of(data, STEPS)}")(data)

    def _time_passes(self, data: st.DataObject) -> None:
        self._world.pass_time(_one_of(data, [0.05, 1, 6, 11, 40, 62]))

    def _leases_run_out(self, data: st.DataObject) -> None:
        self._world.pass_time(80)
        self._runner.run(self._world.ask_to_reclaim())

    # The operator

    def _clients_come_and_go(self, data: st.DataObject) -> None:
        present = sorted(self._world.ledger.clients)
        if present and (len(present) > MOST_CLIENTS or _perhaps(data)):
            self._runner.run(self._world.delete_client(_one_of(data, present)))
        else:
            count, tag = data.draw(st.integers(1, 12)), _one_of(data, [TAG, TAG, OTHER_TAG])
            self._runner.run(self._world.add_clients(count, tag))

    def _a_mailing_is_created(self, data: st.DataObject) -> None:
        if len(self._world.ledger.mailings) < MOST_MAILINGS:
            starts_in, lasts = _one_of(data, [-5, 0, 20]), _one_of(data, [3_000, 3_000, 120, 30])
            self._runner.run(self._world.create_mailing(starts_in, lasts))

    def _a_mailing_is_changed(self, data: st.DataObject) -> None:
        present = sorted(self._world.ledger.mailings)
        if not present:
            return
        mailing_id, what = _one_of(data, present), _one_of(data, CHANGES)
        if what == "move":
            starts_in, ends_in = _one_of(data, [None, None, -5, 10]), _one_of(data, [3_000, 3_000, 40, 2])
            self._runner.run(self._world.move(mailing_id, starts_in, ends_in))
        else:
            self._runner.run(self._world.change_state(mailing_id, getattr(mailings, what)))

    # The planners

    def _a_planner_expands(self, data: st.DataObject) -> None:
        self._runner.run(self._world.expand_once() if _perhaps(data) else self._world.expand_all())

    def _a_planner_releases(self, data: st.DataObject) -> None:
        self._runner.run(self._world.release(data.draw(st.lists(st.sampled_from(Fate), max_size=3))))

    def _a_planner_stalls_before_it_publishes(self, data: st.DataObject) -> None:
        if self._world.ledger.mailings:
            mailing_id = _one_of(data, sorted(self._world.ledger.mailings))
            self._runner.run(self._world.stall_before_publishing(mailing_id, 4))

    def _a_stalled_planner_goes_on(self, data: st.DataObject) -> None:
        if self._world.stalled:
            job, fate = _one_of(data, self._world.stalled), _one_of(data, [*Fate])
            self._runner.run(self._world.go_on_publishing(job, fate))

    def _a_planner_records(self, data: st.DataObject) -> None:
        if not self._wire.reports and self._wire.senders:
            self._world.report(self._with_runs(data))
        if self._wire.reports:
            count = data.draw(st.integers(1, len(self._wire.reports)))
            self._runner.run(self._world.record(count, acknowledged=_perhaps(data)))

    def _a_planner_makes_its_rounds(self, data: st.DataObject) -> None:
        self._runner.run(self._world.ask_to_reclaim())
        step = _one_of(data, [reaping.expire, reaping.cancel, reaping.finish, reaping.purge])
        self._runner.run(self._world.reap(step))

    # The wire

    def _stops_travel(self, data: st.DataObject) -> None:
        self._runner.run(self._world.relay())
        if unheard := [sender for sender in self._wire.senders if sender.inbox]:
            _one_of(data, unheard).hear_all()

    def _a_job_is_lost(self, data: st.DataObject) -> None:
        if self._wire.jobs:
            self._wire.jobs.remove(_one_of(data, self._wire.jobs))

    def _a_report_is_lost_or_late(self, data: st.DataObject) -> None:
        if self._wire.reports:
            report = _one_of(data, self._wire.reports)
            (self._world.lose_report if _perhaps(data) else self._world.delay_report)(report)

    # The senders

    def _a_sender_starts(self, data: st.DataObject) -> None:
        if len(self._wire.senders) < MOST_SENDERS:
            self._runner.run(self._world.start_sender())

    def _a_sender_connects_again(self, data: st.DataObject) -> None:
        if cut_off := [sender for sender in self._wire.senders if not sender.connected]:
            self._runner.run(self._world.reconnect(_one_of(data, cut_off)))

    def _a_sender_takes_jobs(self, data: st.DataObject) -> None:
        if self._wire.senders:
            sender = _one_of(data, self._wire.senders)
            for _ in range(data.draw(st.integers(1, 3))):
                self._take(data, sender)

    def _a_sender_delivers(self, data: st.DataObject) -> None:
        if self._wire.senders:
            self._deliver(data, self._with_runs(data))

    def _a_sender_delivers_and_reports(self, data: st.DataObject) -> None:
        if self._wire.senders:
            sender = self._with_runs(data)
            self._deliver(data, sender)
            self._world.report(sender, confirmed=_one_of(data, [True, True, False]))

    def _a_sender_is_gone(self, data: st.DataObject) -> None:
        if self._wire.senders:
            sender = self._with_runs(data)
            _one_of(data, [self._world.cut_off, self._world.kill, self._world.terminate])(sender)

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

    def _deliver(self, data: st.DataObject, sender: Sender) -> None:
        for circumstances in data.draw(DELIVERIES):
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
