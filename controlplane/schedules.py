"""All periodic work, in one table."""

from __future__ import annotations

from typing import Final, NamedTuple


class Schedule(NamedTuple):
    path: str
    every_seconds: float
    purpose: str


SCHEDULES: Final = (
    Schedule("jobs.tasks.sweep", 5, "make the hints of lanes and job types true again, take up what is forgotten"),
    Schedule("jobs.tasks.follow_closings", 5, "stop what runs of those whose accounts were closed"),
    Schedule("clusters.tasks.follow_closings", 5, "have clusters go of those whose accounts were closed"),
    Schedule("jobs.tasks.fold_counts", 5, "add up what moved of job types' jobs"),
    Schedule("jobs.tasks.group_failures", 5, "find what failures have in common"),
    Schedule("jobs.tasks.count_lanes", 10, "count what waits and what is active, when it is much"),
    Schedule("jobs.tasks.price_executions", 10, "keep with executions that have ended what an hour of them cost"),
    Schedule("clusters.tasks.count_peers", 30, "add up how long peers were connected to containers"),
    Schedule("jobs.tasks.advance_stuck_recipes", 60, "take up recipes whose wake-up was lost"),
    Schedule("jobs.tasks.sample_load", 60, "note how many jobs wait, run and have ended"),
    Schedule("accounts.tasks.post_left_behind", 60, "post feedback that Slack did not take yet"),
    Schedule("billing.tasks.meter", 5, "make records of what has ended"),
    Schedule("billing.tasks.checkpoint", 300, "make records of what goes on, up to the last full hour"),
    Schedule("billing.tasks.meter_containers", 60, "make records of what containers did"),
    Schedule("billing.tasks.keep_standings", 30, "say what customers have used of what is free, stop what nobody pays"),
    Schedule("billing.tasks.count_budgets", 30, "warn of budgets, hold what they cover when they are used up"),
    Schedule("billing.tasks.draw_up_drafts", 300, "have the bills of this month say what is metered"),
    Schedule("billing.tasks.close_months", 3600, "make final bills of the months that have ended"),
    Schedule("billing.tasks.send_bills", 60, "send final bills to Stripe"),
    Schedule("billing.tasks.send_meter_events", 60, "send what was used of each day to Stripe's meter"),
    Schedule("billing.tasks.decide_meter_events", 3600, "decide what Stripe's meter is sent of each day"),
    Schedule("billing.tasks.compare_bills", 86400, "compare records, days, bills and Stripe"),
    Schedule("billing.tasks.handle_left_stripe_events", 60, "handle events of Stripe that could not be handled yet"),
    Schedule("billing.tasks.forget_stripe_events", 3600, "delete events of Stripe past their days"),
    Schedule("billing.tasks.forget_payers", 600, "forget what we say of who pays and has closed their account"),
    Schedule("jobs.tasks.apply_retention", 3600, "delete what is past its days"),
)
