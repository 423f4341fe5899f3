"""The pages that submit work: it can be asked first where it would run and at what cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from clusters.models import Cluster
from controlplane.core.admin import link
from controlplane.core.errors import ControlPlaneError
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import Finding
from jobs.admin.requests_shown import curl_of, shown_body
from jobs.admin.shape_forms import ContainerForm, ShapeForm
from jobs.admin.shapes import CHOICES_SHOWN, EARLIER, PAGES, ShapePage, earlier_of, notes_of
from jobs.models import Job

CHECK: Final = "check"  # the button; the page's script gives it the value LIVE
LIVE: Final = "live"


@dataclass(frozen=True)
class DryRun:
    """A forecast, as the page of a form shows what was asked."""

    details: SafeString
    errors: Sequence[Finding] = ()
    warnings: Sequence[Finding] = field(default_factory=tuple)


class SubmittingAdmin(KeysetAdmin):
    """The pages below "Submit", for who holds Django's permission to add jobs."""

    add_form = ContainerForm

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("jobs.add_job"))

    def get_urls(self) -> list[Any]:
        own = [
            path(
                f"add/{page.name}/",
                self.admin_site.admin_view(partial(self._shape, page=page)),
                name=f"jobs_job_submit_{page.name}",
            )
            for page in PAGES.values()
        ]
        return [*own, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """The shapes to choose from."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        shapes = [(page.title, page.about, submit_url(page.name)) for page in PAGES.values()]
        clusters = self.admin_site._registry.get(Cluster)
        if clusters is not None and clusters.has_add_permission(request):
            about = "Containers that are kept running, in a cluster."
            shapes.append(("Cluster", about, reverse("admin:clusters_cluster_add")))
        more = {"title": "Submit", "shapes": shapes}
        return TemplateResponse(request, "admin/jobs/submit/shapes.html", {**self._context(request), **more})

    def _context(self, request: HttpRequest) -> dict[str, Any]:
        return {**self.admin_site.each_context(request), "opts": self.opts}

    def _shape(self, request: HttpRequest, *, page: ShapePage) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        earlier = earlier_of(request, page)
        actor: Any = request.user  # the admin lets nobody else in
        chosen = page.chosen(request, earlier) if page.chosen else None
        if page.chosen and chosen is None:
            return self._choose(request, page)
        form = page.form(request, actor, chosen, earlier)
        more: dict[str, Any] = {}
        if request.method == "POST" and form.is_valid():
            more = {"json": shown_body(form.body()), "curl": curl_of(request, form.resource, form.body())}
            try:
                if CHECK in request.POST:
                    more["verdict"] = DryRun(form.forecast())
                else:
                    return self._submitted(request, form, earlier)
            except ControlPlaneError as error:
                form.refuse(error)
        if request.POST.get(CHECK) == LIVE:
            return self._told(request, form, more)
        title = f"Submit: {page.title}" + (f" {chosen}" if chosen is not None else "")
        context = {
            **self._context(request),
            "title": title,
            "form": form,
            "groups": form.groups(),
            "earlier": earlier_link(earlier),
            "notes": notes_of(earlier, actor),
            "back": reverse("admin:jobs_job_add"),
            **more,
        }
        return TemplateResponse(request, "admin/jobs/submit/form.html", context)

    def _submitted(self, request: HttpRequest, form: ShapeForm, earlier: Any) -> HttpResponse:
        made = form.submit(earlier if isinstance(earlier, Job) else None)
        self.message_user(request, format_html("Submitted: {}.", made.what), messages.SUCCESS)
        return HttpResponseRedirect(made.url)

    def _told(self, request: HttpRequest, form: ShapeForm, more: dict[str, Any]) -> JsonResponse:
        """What the page's script asks for while somebody types: faults by field, and what stands beside the form."""
        errors = {name: [str(each) for each in found] for name, found in form.errors.items()}
        labels = [form[name].label for name in errors if name in form.fields]
        aside = render_to_string("admin/jobs/submit/aside.html", {**more, "form": form, "wrong": labels}, request)
        return JsonResponse({"errors": errors, "aside": aside})

    def _choose(self, request: HttpRequest, page: ShapePage) -> HttpResponse:
        """The page that asks of which type the work is to be."""
        if page.choices is None or request.GET.get(page.parameter):
            raise Http404
        start = request.GET.get("q", "").strip().replace("\0", "")
        found = page.choices(start)
        rows = [
            (name, about, f"{submit_url(page.name)}?{page.parameter}={pk}") for name, about, pk in found[:CHOICES_SHOWN]
        ]
        more = {
            "title": f"Submit: {page.title}",
            "start": start,
            "choices": rows,
            "are_more": len(found) > CHOICES_SHOWN,
            "back": reverse("admin:jobs_job_add"),
        }
        return TemplateResponse(request, "admin/jobs/submit/choose.html", {**self._context(request), **more})


def submit_url(shape: str) -> str:
    return reverse(f"admin:jobs_job_submit_{shape}")


def earlier_link(earlier: Any) -> SafeString | str:
    """What the form was filled from."""
    if earlier is None:
        return ""
    name = "job" if isinstance(earlier, Job) else "recipe"
    return link(reverse(f"admin:jobs_{name}_change", args=[earlier.pk]), f"{name} {earlier.pk}")


def again_button(row: Any, request: HttpRequest) -> list[tuple[str, str]]:
    """The button that submits a job, or a recipe, with changes, for who may."""
    shape = row.shape if isinstance(row, Job) else "recipe"
    if shape not in PAGES or not request.user.has_perm("jobs.add_job"):
        return []
    return [("Resubmit with changes", f"{submit_url(shape)}?{EARLIER}={row.pk}")]
