"""What each list and form of the admin is, in a sentence, and where the docs tell more of it."""

from __future__ import annotations

from typing import Final, NamedTuple

from django.http import HttpRequest
from django.urls import reverse

from controlplane.admin_docs import url_of

# By the model of a page, or by the name of a page that is no model's: the sentence, and page#section of the docs.
ABOUT: Final[dict[str, tuple[str, str]]] = {
    "index": ("What is wrong, why, what it costs, and which button mends it.", "operating#on-call-the-front-page"),
    "find": ("Whatever has this id, or a name that begins so.", "staff#find-anything"),
    "views": ("Lists as you, or others, have kept them.", "staff#find-anything"),
    "clusters_fleet": ("All containers that are kept running, by where they stand.", "staff#clusters-and-containers"),
    "billing_spend": ("What a month costs, by day and by customer.", "billing#in-the-admin"),
    # Jobs
    "jobs_job": ("Pieces of work, whichever way they came in, and what became of them.", "staff#find-jobs"),
    "jobs_job_add": ("What is to be run: what it would cost, and where, is told before.", "staff#submit-a-job"),
    "jobs_waiting": ("Why work waits, and what would free it.", "staff#why-a-job-waits"),
    "jobs_waiting_reason": ("All that one reason keeps back.", "staff#why-a-job-waits"),
    "jobs_failurecluster": ("Failures that are alike, by how their output ended.", "failures"),
    "jobs_recipe": ("Chains of jobs that run: what is done, what waits for what.", "staff#recipes"),
    "jobs_execution": ("Each try of a job at a place, with how it ended and what it cost.", "staff#find-jobs"),
    "jobs_operation": ("Work on many jobs at once, and how far it is.", "staff#change-many-jobs-at-once"),
    "jobs_operationfailure": ("Jobs that bulk work could not change, and why.", "staff#change-many-jobs-at-once"),
    "jobs_file": ("Files that jobs read and write, by where they lie.", "staff#files-and-workspaces"),
    # Work types
    "jobtypes_jobtype": (
        "Programs by name and version, described by Seed manifests, with every revision they have had.",
        "staff#pause-or-change-a-job-type",
    ),
    "jobtypes_recipetype": ("Chains of job types: whose outputs become whose inputs.", "staff#recipes"),
    "jobtypes_workspace": ("Where files lie: folders, buckets, containers of Azure.", "staff#files-and-workspaces"),
    "jobs_artifact": ("Programs of MapReduce jobs, by name and version.", "staff#programs-of-mapreduce-jobs"),
    # Steering
    "jobs_hold": ("What is kept from running until the hold is lifted, and why.", "staff#hold-and-release"),
    "jobs_gate": ("How much may be active or wait at once, of whom or where.", "staff#limit-what-runs-at-once"),
    "jobtypes_error": ("The ways to fail by name: whose fault it is, and whether it is tried again.", "staff#errors"),
    "jobs_place": ("Where jobs run: this machine, and regions of clouds.", "staff#places-lanes-and-load"),
    "jobs_lane": ("All that waits, by kind of job, with what keeps the first of each.", "staff#why-a-job-waits"),
    "jobs_loadsample": ("How many jobs waited and ran, by the minute.", "staff#places-lanes-and-load"),
    # Fleet
    "clusters_cluster": ("Groups of containers that are kept running and rolled.", "staff#clusters-and-containers"),
    "clusters_container": (
        "Long-running containers: where they stand, how they are.",
        "staff#clusters-and-containers",
    ),
    "clusters_imageversion": ("What clusters may run.", "staff#clusters-and-containers"),
    "clusters_location": ("What users may ask for, and to which place it leads.", "staff#clusters-and-containers"),
    "clusters_hostingplace": ("Where containers stand, and what a place fails with.", "staff#clusters-and-containers"),
    # Prices
    "clusters_offer": ("What a place can run: machines and shares of them.", "staff#prices-and-budgets"),
    "clusters_price": ("What an hour of an offer costs, from when on, for whom.", "prices#where-prices-come-from"),
    # Billing
    "billing_bill": ("What a customer owes for a month, line by line.", "billing#in-the-admin"),
    "billing_budget": ("What may be spent on a customer or a job type.", "staff#prices-and-budgets"),
    "billing_usagerecord": ("What ran from when to when, at which price: never changed.", "billing#in-the-admin"),
    "billing_closedmonth": ("Months whose bills are final.", "staff#close-a-month"),
    "billing_paymentdetails": ("How customers pay, as Stripe has it.", "payments"),
    "billing_difference": ("What two records disagree about, to be resolved with a note.", "payments#comparing"),
    "billing_meterevent": ("What was sent to Stripe's meter.", "payments#sending-bills"),
    "billing_stripeevent": ("What Stripe told us, and what came of it.", "payments#what-stripe-tells-us"),
    # Accounts
    "accounts_user": ("People and programs that may sign in or call the API.", "staff#users-and-their-tokens"),
    "accounts_customer": ("Who pays: jobs, limits, prices and bills are a customer's.", "staff#users-and-their-tokens"),
    "accounts_apitoken": ("What programs sign in with, by its first characters.", "staff#users-and-their-tokens"),
    "accounts_invitation": ("Who may make an account of their own.", "staff#invite-people"),
    "accounts_limitchangerequest": ("Who wants to have more instances, and why.", "staff#approve-a-limit"),
    "accounts_feedback": ("What users say to the team.", "staff#invite-people"),
    "accounts_webhook": ("Addresses that are told of what happens.", "staff#webhooks"),
    "accounts_webhookdelivery": ("What was sent to webhooks, and what they answered.", "staff#webhooks"),
    "accounts_parkedevent": (
        "Events that somebody could not act upon: to be tried again, or dismissed.",
        "operating#events-that-were-left-behind",
    ),
    "accounts_event": ("Who did what to which row, in order: never changed.", "staff#follow-what-happened"),
}
# Of lists that nobody adds a row to by hand: where their rows come from, and the page where one begins.
NEXT: Final[dict[str, tuple[str, str]]] = {
    "jobs_execution": ("They come with jobs: submit one.", "jobs_job_add"),
    "jobs_failurecluster": ("No job has failed. All that have run:", "jobs_job_changelist"),
    "jobs_lane": ("Nothing waits, and nothing runs: submit a job.", "jobs_job_add"),
    "jobs_loadsample": ("Noted each minute while `manage.py work` runs. What the workers do:", "index"),
    "jobs_operation": ("It begins at jobs: choose some, or everything that a filter matches.", "jobs_job_changelist"),
    "jobs_operationfailure": ("No bulk work has left anything behind. All of it:", "jobs_operation_changelist"),
    "jobs_place": ("This machine is one as soon as `manage.py work` runs; a cloud, once it is set up.", "index"),
    "jobs_recipe": ("They are run from a recipe type.", "jobs_job_add"),
    "clusters_container": ("They are made in clusters.", "clusters_cluster_changelist"),
    "clusters_hostingplace": ("They come with locations.", "clusters_location_changelist"),
    "clusters_location": ("They come with the first upgrade of the database.", "index"),
    "clusters_offer": ("They come with places, and with price lists that are imported.", "jobs_place_changelist"),
    "clusters_price": ("Set one on the page of an offer.", "clusters_offer_changelist"),
    "billing_bill": ("Drafts are drawn up from what was used.", "billing_usagerecord_changelist"),
    "billing_closedmonth": ("A month is closed when it is over. What it costs:", "billing_spend"),
    "billing_difference": ("Nothing differs. What is compared each day:", "billing_bill_changelist"),
    "billing_meterevent": ("They are sent when a month's bills are final.", "billing_closedmonth_changelist"),
    "billing_paymentdetails": ("Customers enter theirs themselves. All customers:", "accounts_customer_changelist"),
    "billing_stripeevent": ("Stripe has told nothing yet. Is it set up?", "index"),
    "billing_usagerecord": ("What runs is metered as it goes on: submit a job.", "jobs_job_add"),
    "accounts_event": ("Nothing has happened yet: submit a job.", "jobs_job_add"),
    "accounts_feedback": ("Nobody has said anything. Invite somebody.", "accounts_invitation_changelist"),
    "accounts_limitchangerequest": ("Nobody asks for more. What each may have:", "accounts_user_changelist"),
    "accounts_parkedevent": ("Nothing was left behind. All that happened:", "accounts_event_changelist"),
    "accounts_webhook": ("Users make theirs by API. Who there is:", "accounts_user_changelist"),
    "accounts_webhookdelivery": ("They come with webhooks.", "accounts_webhook_changelist"),
}
MODEL_WORDS: Final = 2  # of the name of a model's page, such as jobs_job_cancel


class About(NamedTuple):
    """`url`: of the docs' section; `next_url`: where a row that is not there would begin, and `next` says how."""

    sentence: str
    url: str
    next: str
    next_url: str


def key_of(url_name: str) -> str:
    """The key of ABOUT for a page of the admin."""
    return url_name if url_name in ABOUT else "_".join(url_name.split("_")[:MODEL_WORDS])


def about_page(request: HttpRequest) -> About | None:
    """What the page that is asked for is; None for pages that need no word."""
    match = request.resolver_match
    key = key_of(match.url_name) if match is not None and match.url_name else ""
    if key not in ABOUT:
        return None
    sentence, target = ABOUT[key]
    page, _, anchor = target.partition("#")
    following, begins = NEXT.get(key, ("", ""))
    return About(sentence, url_of(page, anchor), following, reverse(f"admin:{begins}") if begins else "")
