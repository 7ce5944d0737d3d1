"""Two operators act at once, and one continues what the other has begun."""

from __future__ import annotations

import threading

import pytest
from django.db import connections

from executions.database.our_locks import OurLock
from executions.models.retirement import Act, Retirement, RetirementState
from executions.retirement import acts, wizard
from executions.retirement.acts import Order
from executions.retirement.audit import Who
from executions.retirement.protocol import turn
from executions.retirement.refusals import Refused, SomebodyElse
from executions.retirement.report import report
from executions.retirement.rules import current
from tests.removing import world
from tests.retiring import (
    acting_as,
    audited,
    confirmed,
    jobs,
    lay_plans,
    operator,
    pg_cron,
    press,
    role,
    schedule,
)
from tests.sizes import sized
from tests.waiting import HANG

__all__ = ["acting_as", "pg_cron", "role", "world"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def test_of_two_operators_at_the_same_moment_one_retires(owner, pg_cron):
    lay_plans(owner)
    people = [operator("olga"), operator("paul")]
    for _round in range(sized(2, 20)):
        jobid = schedule(pg_cron)
        pages = [confirmed(people[0], jobid), confirmed(people[1], jobid)]
        assert pages[0] == pages[1]
        told = at_once([click(who, page) for who, page in zip(people, pages, strict=True)])
        assert jobs(pg_cron) == {}
        retirement = Retirement.objects.get(jobid=jobid)
        winner = retirement.acts.get(outcome="done").user_name
        assert audited(retirement).count(("remove", "done")) == 1
        [refusal] = [one for one in told if one is not None]
        assert isinstance(refusal, SomebodyElse)
        assert refusal.who == winner


def click(who, retirement):
    page = Retirement.objects.get(pk=retirement.pk)

    def act():
        acts.remove(Order(who, page, current()), **press(page))

    return act


def at_once(clicks):
    """Run both as nearly at the same moment as threads can; what each was told."""
    told = [None] * len(clicks)
    start = threading.Barrier(len(clicks))

    def run(index):
        start.wait()
        try:
            clicks[index]()
        except Refused as refusal:
            told[index] = refusal
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[index]) for index in range(len(clicks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    return told


def test_an_operator_of_another_installation_is_named(world, connect):
    other = connect("postgres")
    other.execute("SET application_name = 'multica-admin retire: paul'")
    with other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(%s)", [OurLock.ACT])
        with pytest.raises(SomebodyElse) as told:
            acts.remove(Order(world.who, world.retirement, current()), **press(world.retirement))
    assert told.value.who == "paul"
    assert set(jobs(world.pg_cron)) == {world.jobid}


def test_an_operator_of_this_installation_is_named_in_full(world):
    """A session's name would be cut, and holds only ASCII."""
    name = "Зоя Петрова, " + "x" * 80
    Act.objects.create(
        retirement=Retirement.objects.create(jobid=1, started_by=name),
        kind=Act.Kind.REMOVE,
        user_name=name,
        statement="",
        job={},
    )
    with turn(Who(name)), pytest.raises(SomebodyElse) as told:
        acts.remove(Order(world.who, world.retirement, current()), **press(world.retirement))
    assert told.value.who == name


def test_the_lock_of_the_rollup_is_never_taken(world, connect):
    """Somebody holds 4246 all the while; a retirement does not wait for it and is not affected."""
    assert OurLock.ACT != 4246
    holder = connect("multica")
    with holder.transaction():
        holder.execute("SELECT pg_advisory_xact_lock(4246)")
        acts.remove(Order(world.who, world.retirement, current()), **press(world.retirement))
    assert jobs(world.pg_cron) == {}


def test_choosing_a_job_that_is_being_retired_goes_on_with_the_same_record(world):
    assert wizard.choose(operator("paul"), world.jobid) == world.retirement


def test_a_server_that_keeps_its_number_to_itself_by_now_goes_on_with_the_same_record(world):
    """A role that may act may be another than the one that began, and be told more or less."""
    Retirement.objects.update(server="")
    assert report(current()).judged[0].retirement == world.retirement
    assert wizard.choose(operator("paul"), world.jobid) == world.retirement


@pytest.mark.parametrize("place", [{"server": "1"}, {"database": "another"}])
def test_a_job_of_the_same_number_elsewhere_is_begun_by_itself(world, place):
    Retirement.objects.update(**place)
    assert report(current()).judged[0].retirement is None
    assert wizard.choose(operator("paul"), world.jobid) != world.retirement


def test_a_retirement_that_changed_nothing_can_be_dropped_and_begun_again(world):
    wizard.close(world.who, world.retirement)
    assert world.retirement.state == RetirementState.CLOSED
    assert wizard.choose(world.who, world.jobid) != world.retirement
    assert set(jobs(world.pg_cron)) == {world.jobid}


@pytest.mark.parametrize("step", [wizard.close, wizard.affirm])
def test_while_somebody_acts_nobody_drops_the_retirement_or_decides_about_it(world, step):
    paul, told = operator("paul"), []

    def reached(at):
        if at == "verified":
            with pytest.raises(SomebodyElse) as refusal:
                step(paul, Retirement.objects.get(pk=world.retirement.pk))
            told.append(refusal.value.who)

    acts.remove(Order(world.who, world.retirement, current(), reached), **press(world.retirement))
    assert told == ["olga"]
    assert world.retirement.state == RetirementState.WATCHING
    assert world.retirement.affirmed_by == ""
    assert audited(world.retirement) == [
        ("remove", "intended"),
        (step.__name__, "refused"),
        ("remove", "done"),
    ]


def test_what_was_removed_cannot_be_removed_or_dropped_again(world):
    form = press(world.retirement)
    acts.remove(Order(world.who, world.retirement, current()), **form)
    with pytest.raises(SomebodyElse, match="olga"):
        acts.remove(Order(world.who, world.retirement, current()), **form)
    with pytest.raises(Refused):
        wizard.close(world.who, world.retirement)
    assert audited(world.retirement).count(("remove", "done")) == 1
