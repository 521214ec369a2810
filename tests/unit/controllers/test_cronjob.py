"""Cron schedules and CronJobs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controllers.cronjob.plan import finished_as, plan_cron_job
from controllers.cronjob.schedule import ScheduleError, parse_schedule
from machinery.meta.objects import format_time
from tests.unit.controllers.builders import NOW, ago, meta, names, owner_ref

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "following"),
    [
        ("* * * * *", "2026-06-01T12:01"), ("*/15 * * * *", "2026-06-01T12:15"), ("0 * * * *", "2026-06-01T13:00"),
        ("30 8 * * mon-fri", "2026-06-02T08:30"), ("0 0 1,15 * *", "2026-06-15T00:00"), ("@daily", "2026-06-02T00:00"),
        ("0 0 29 2 *", "2028-02-29T00:00"), ("0 0 13 * 5", "2026-06-05T00:00"), ("@yearly", "2027-01-01T00:00"),
        ("0 9 ? jan sun", "2027-01-03T09:00"), ("5/20 12 * * *", "2026-06-01T12:05"), ("0 0 * * 7", "2026-06-07T00:00"),
        ("@every 90s", "2026-06-01T12:01:30"),
    ],
)  # fmt: skip
def test_the_next_time(text, following):
    assert parse_schedule(text).next_after(NOW, UTC) == datetime.fromisoformat(following).replace(tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "* * * *", "60 * * * *", "x * * * *", "5-1 * * * *", "*/0 * * * *", "@every x",
                                  "0 0 0 * *", "@sometimes"])  # fmt: skip
def test_rubbish_is_refused(text):
    with pytest.raises(ScheduleError):
        parse_schedule(text)


def test_an_impossible_day_never_comes():
    assert parse_schedule("0 0 31 2 *").next_after(NOW, UTC) is None


def test_time_zones_and_the_hour_that_does_not_exist():
    nine = parse_schedule("0 9 * * *")
    assert nine.next_after(NOW, BERLIN) == datetime(2026, 6, 2, 7, 0, tzinfo=UTC)
    half_past_two = parse_schedule("30 2 * * *")
    before_change = datetime(2026, 3, 28, 12, 0, tzinfo=UTC)
    assert half_past_two.next_after(before_change, BERLIN) == datetime(2026, 3, 30, 0, 30, tzinfo=UTC)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["* * * * *", "*/7 3 * * *", "0 0 * * 1", "15 6 1 * *", "0 */5 * * *"]),
       st.integers(0, 60 * 24 * 40), st.integers(1, 60 * 24 * 40))  # fmt: skip
def test_looking_back_agrees_with_looking_forward(text, start, length):
    schedule, since = parse_schedule(text), NOW + timedelta(minutes=start)
    until = since + timedelta(minutes=length)
    last = schedule.last_until(until, since, UTC)
    first = schedule.next_after(since, UTC)
    if last is None:
        assert first > until
    else:
        assert since < last <= until
        assert schedule.next_after(last, UTC) > until
        assert first <= last


def cron_job(schedule="* * * * *", created=3600.0, **spec):
    template = {"metadata": {"labels": {"l": "1"}}, "spec": {"template": {}}}
    return {"metadata": meta("c", creationTimestamp=ago(created)), "status": {},
            "spec": {"schedule": schedule, "jobTemplate": template, **spec}}  # fmt: skip


def job(owner, name, verdict="", start=60.0):
    conditions = [{"type": verdict, "status": "True"}] if verdict else []
    status = {"startTime": ago(start), "conditions": conditions}
    if verdict == "Complete":
        status["completionTime"] = ago(start - 10)
    return {"metadata": meta(name, ownerReferences=[owner_ref(owner, "CronJob")]), "spec": {}, "status": status}


def reasons(plan):
    return [reason for _, reason, _ in plan.events]


def test_a_job_is_started_for_the_last_due_time():
    made = cron_job("*/5 * * * *", created=900, timeZone="Europe/Berlin")
    plan = plan_cron_job(made, [], NOW + timedelta(seconds=20))
    assert plan.scheduled_at == NOW
    assert plan.start["metadata"]["name"] == f"c-{int(NOW.timestamp()) // 60}"
    assert plan.start["metadata"]["annotations"] == {
        "batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-06-01T14:00:00+02:00"
    }
    assert plan.start["metadata"]["labels"] == {"l": "1"}
    assert plan.requeue_seconds == pytest.approx(280.1)


def test_nothing_is_due_twice():
    made = cron_job()
    made["status"]["lastScheduleTime"] = format_time(NOW)
    plan = plan_cron_job(made, [], NOW + timedelta(seconds=30))
    assert (plan.start, plan.events) == (None, [])
    started = job(made, f"c-{int(NOW.timestamp()) // 60}")
    made["status"] = {}
    plan = plan_cron_job(made, [started], NOW)
    assert plan.start is None
    assert plan.status["lastScheduleTime"] == format_time(NOW)


@pytest.mark.parametrize(("policy", "starts", "replaced"), [("Allow", True, []), ("Forbid", False, []),
                                                            ("Replace", True, ["old"])])  # fmt: skip
def test_concurrency(policy, starts, replaced):
    made = cron_job(concurrencyPolicy=policy)
    plan = plan_cron_job(made, [job(made, "old")], NOW)
    assert (plan.start is not None) is starts
    assert names(plan.replace) == replaced
    assert ("JobAlreadyActive" in reasons(plan)) is (not starts)


def test_a_passed_deadline_is_told():
    made = cron_job("0 * * * *", startingDeadlineSeconds=60)
    plan = plan_cron_job(made, [], NOW + timedelta(seconds=120))
    assert plan.start is None
    assert reasons(plan) == ["MissSchedule"]
    assert plan_cron_job(made, [], NOW + timedelta(seconds=30)).start is not None


def test_too_many_missed_times_warn_but_start():
    plan = plan_cron_job(cron_job(created=3 * 3600), [], NOW)
    assert plan.start is not None
    assert "TooManyMissedTimes" in reasons(plan)


def test_suspended_and_unreadable_ones_start_nothing():
    assert plan_cron_job(cron_job(suspend=True), [], NOW).start is None
    assert reasons(plan_cron_job(cron_job("bad"), [], NOW)) == ["UnparseableSchedule"]
    assert reasons(plan_cron_job(cron_job(timeZone="Mars/X"), [], NOW)) == ["UnknownTimeZone"]


def test_active_jobs_are_followed():
    made = cron_job(suspend=True)
    done, runs = job(made, "done", "Complete"), job(made, "runs")
    listed = [{"name": item["metadata"]["name"], "uid": item["metadata"]["uid"]} for item in (done, runs)]
    made["status"]["active"] = [*listed, {"name": "lost", "uid": "?"}]
    plan = plan_cron_job(made, [done, runs, job(made, "found")], NOW)
    assert [item["name"] for item in plan.status["active"]] == ["runs", "found"]
    assert sorted(reasons(plan)) == ["MissingJob", "SawCompletedJob"]
    assert plan.status["lastSuccessfulTime"] == ago(50)
    assert finished_as(done) == "Complete"


def test_history_limits():
    made = cron_job(suspend=True, successfulJobsHistoryLimit=1)
    jobs = [job(made, f"s{n}", "Complete", start=100 - n) for n in range(3)]
    jobs += [job(made, f"f{n}", "Failed", start=100 - n) for n in range(2)]
    assert names(plan_cron_job(made, jobs, NOW).discard) == ["s0", "s1", "f0"]
