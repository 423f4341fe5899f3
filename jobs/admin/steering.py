"""Verbs on one job, on chosen ones and on all that match: first a page that says what will happen, then a service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.http import urlencode

from controlplane.core.errors import ControlPlaneError
from controlplane.core.keyset_admin import KeysetAdmin
from jobs import services
from jobs.admin.filters import selection_of
from jobs.admin.stakes import stakes_of
from jobs.admin.verbs import VERBS, Verb, parameters_of
from jobs.models import Job

AT_ONCE: Final = 100  # more than these are done in the background, with a page of their own
COUNTED: Final = 10_000
CHOSEN: Final = "_selected_action"
LOADED: Final = ("customer", "place", "owner", "lane")


class SteeringAdmin(KeysetAdmin):
    """The views of jobs.admin.verbs."""

    def get_urls(self) -> list[Any]:
        own = []
        for verb in VERBS.values():
            for where, view, name in (
                (f"<int:pk>/{verb.name}/", self._one, f"jobs_job_{verb.name}"),
                (f"selected/{verb.name}/", self._selected, f"jobs_job_selected_{verb.name}"),
                (f"matching/{verb.name}/", self._matching, f"jobs_job_matching_{verb.name}"),
            ):
                own.append(path(where, self.admin_site.admin_view(partial(view, verb=verb)), name=name))
        return [*own, *super().get_urls()]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """The verbs that this user may use, as the list's actions: each leads to its confirmation."""
        return {
            verb.name: (partial(_confirm_chosen, verb=verb), verb.name, f"{verb.label}…")
            for verb in allowed_verbs(request)
        }

    # --- One job -------------------------------------------------------------------------------------

    def _one(self, request: HttpRequest, pk: int, verb: Verb) -> HttpResponse:
        _check(request, verb)
        job = Job.objects.select_related(*LOADED).filter(pk=pk).first()
        if job is None:
            raise Http404
        back = reverse("admin:jobs_job_change", args=[pk])
        form = verb.form(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            self._act(request, verb, [job], form.cleaned_data)
            return HttpResponseRedirect(back)
        about = f"Job {job.pk}, {job.classification} of {job.customer}, is {job.status}."
        stakes = stakes_of(verb, Job.objects.filter(pk=pk))
        note = "" if verb.applies(job) else "As it is now, this will not change it."
        return self._page(
            request, verb, form, {"about": about, "note": note, "back": back, "url": request.path, "stakes": stakes}
        )

    def _act(self, request: HttpRequest, verb: Verb, jobs: Sequence[Job], wish: Mapping[str, Any]) -> None:
        try:
            outcome = verb.act(jobs, request.user, wish)  # type: ignore[arg-type]
        except ControlPlaneError as error:
            self.message_user(request, error.message, messages.ERROR)
            return
        changed = set(outcome.changed)
        if changed:
            self.message_user(request, f"{_jobs(len(changed))} {verb.done}.", messages.SUCCESS)
        left = [job for job in jobs if job.pk not in changed]
        for job in left[:10]:
            why = outcome.faults.get(job.pk, f"it was {job.status}, which does not allow this, or it moved on.")
            self.message_user(request, f"Job {job.pk} is unchanged: {why}", messages.WARNING)
        if len(left) > 10:
            self.message_user(request, f"{len(left) - 10} more are unchanged.", messages.WARNING)

    # --- Chosen in the list --------------------------------------------------------------------------

    def _selected(self, request: HttpRequest, verb: Verb) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        _check(request, verb)
        ids = sorted({int(each) for each in request.POST.getlist(CHOSEN) if each.isascii() and each.isdigit()})
        return self.steer_chosen(request, verb, ids, confirmed="confirmed" in request.POST)

    def steer_chosen(self, request: HttpRequest, verb: Verb, ids: Sequence[int], *, confirmed: bool) -> HttpResponse:
        """The confirmation for these jobs, or what follows it."""
        back = reverse("admin:jobs_job_changelist")
        if not ids or (len(ids) > AT_ONCE and verb.kind is None):
            fault = f"Choose from 1 to {AT_ONCE} jobs."
            self.message_user(request, fault, messages.ERROR)
            return HttpResponseRedirect(back)
        form = verb.form(request.POST if confirmed else None)
        if confirmed and form.is_valid():
            if len(ids) > AT_ONCE:
                return self._start(request, verb, {"job_id": [str(each) for each in ids]}, form.cleaned_data)
            jobs = list(Job.objects.select_related(*LOADED).filter(pk__in=ids).order_by("pk"))
            self._act(request, verb, jobs, form.cleaned_data)
            return HttpResponseRedirect(back)
        about, note = f"{_jobs(len(ids))} chosen.", ""
        if len(ids) <= AT_ONCE:
            fitting = sum(verb.applies(job) for job in Job.objects.select_related("lane").filter(pk__in=ids))
            note = "" if fitting == len(ids) else f"{fitting} of them can be changed as they are now."
        url = reverse(f"admin:jobs_job_selected_{verb.name}")
        stakes = stakes_of(verb, Job.objects.filter(pk__in=ids))
        more = {"about": about, "note": note, "back": back, "url": url, "ids": ids, "stakes": stakes}
        return self._page(request, verb, form, more)

    # --- Everything that matches ---------------------------------------------------------------------

    def _matching(self, request: HttpRequest, verb: Verb) -> HttpResponse:
        _check(request, verb)
        if verb.kind is None:
            raise Http404
        selection = selection_of(request.GET)
        back = f"{reverse('admin:jobs_job_changelist')}?{urlencode(selection, doseq=True)}"
        form = verb.form(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            return self._start(request, verb, selection, form.cleaned_data)
        try:
            jobs = services.select_jobs(request.user, selection)  # type: ignore[arg-type]
            found = jobs.order_by()[: COUNTED + 1].count()
        except ControlPlaneError as error:
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(back)
        number = _jobs(found) if found <= COUNTED else f"More than {COUNTED} jobs"
        words = "; ".join(f"{name}: {', '.join(given)}" for name, given in selection.items())
        about = f"{number} match {words or 'no filter at all'}."
        note = "It is done in the background to those among them that allow it; a page shows how far it is."
        stakes = stakes_of(verb, jobs)
        context = {"about": about, "note": note, "back": back, "url": request.get_full_path(), "stakes": stakes}
        return self._page(request, verb, form, context)

    def _start(
        self, request: HttpRequest, verb: Verb, selection: Mapping[str, Sequence[str]], wish: Mapping[str, Any]
    ) -> HttpResponse:
        assert verb.kind is not None
        if not request.user.has_perm("jobs.add_operation"):
            raise PermissionDenied
        try:
            operation = services.start_operation(
                kind=verb.kind,
                selection=dict(selection),
                parameters=parameters_of(wish),
                actor=request.user,  # type: ignore[arg-type]
            )
        except ControlPlaneError as error:
            self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(reverse("admin:jobs_job_changelist"))
        return HttpResponseRedirect(reverse("admin:jobs_operation_change", args=[operation.pk]))

    # --- The page before -----------------------------------------------------------------------------

    def _page(self, request: HttpRequest, verb: Verb, form: Any, more: Mapping[str, Any]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": f"{verb.label}?",
            "opts": self.opts,
            "verb": verb,
            "form": form,
            "chosen": CHOSEN,
            **more,
        }
        return TemplateResponse(request, "admin/jobs/confirm.html", context)


def allowed_verbs(request: HttpRequest) -> list[Verb]:
    """The verbs that this user may use: all others are not even shown."""
    return [verb for verb in VERBS.values() if request.user.has_perm(f"jobs.{verb.permission}")]


def _confirm_chosen(admin: SteeringAdmin, request: HttpRequest, queryset: Any, *, verb: Verb) -> HttpResponse:
    """The list's action. It goes by the boxes that are ticked, so `select_across` means nothing here."""
    ids = sorted({int(each) for each in request.POST.getlist(CHOSEN) if each.isascii() and each.isdigit()})
    return admin.steer_chosen(request, verb, ids, confirmed=False)


def _check(request: HttpRequest, verb: Verb) -> None:
    if not request.user.has_perm(f"jobs.{verb.permission}"):
        raise PermissionDenied


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
