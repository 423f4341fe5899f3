"""Pages of the admin that belong to no table: the search box, and the lists that staff have kept."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse

from accounts import queries, services
from accounts.errors import SavedViewNotFound
from accounts.models import SavedView, User
from controlplane.core.admin import ReadOnlyAdmin
from controlplane.core.errors import ControlPlaneError
from controlplane.find import SHOWN, find

_LIST = "_changelist"


def find_page(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """What may be meant by ?q=; on to its page where only one thing can be."""
    term = request.GET.get("q", "").strip()
    found = find(site, request, term)
    if found.only is not None:
        return HttpResponseRedirect(found.only.url)
    context = {
        **site.each_context(request),
        "title": "Find",
        "term": term,
        "found": found,
        "shown": SHOWN,
        "views": [] if term else _views(site, request),
    }
    return TemplateResponse(request, "admin/find.html", context)


# --- Saved views ---------------------------------------------------------------------------------


def list_tools(request: HttpRequest) -> dict[str, Any]:
    """What a list's page shows above its rows: nothing on other pages."""
    name = request.resolver_match.url_name if request.resolver_match else None
    if not name or not name.endswith(_LIST):
        return {}
    user: User = request.user  # type: ignore[assignment]
    list_name = name.removesuffix(_LIST)
    return {
        "list_name": list_name,
        "saved_views": queries.saved_views(user, list_name),
        "may_share_views": user.role in services.SHARING,
    }


def views_page(site: AdminSite, request: HttpRequest) -> HttpResponse:
    context = {**site.each_context(request), "title": "Saved views", "views": _views(site, request)}
    return TemplateResponse(request, "admin/saved_views.html", context)


def save_view(site: AdminSite, request: HttpRequest) -> HttpResponse:
    """Keep a list as it is shown. Of the address only what the list takes is kept."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    list_name = request.POST.get("list", "")
    its = _list_of(site, list_name)
    if its is None:
        raise Http404
    if not its.has_view_permission(request):
        raise PermissionDenied
    query = _taken(its, request, QueryDict(request.POST.get("query", "").removeprefix("?")))
    try:
        view = services.save_view(
            actor=request.user,  # type: ignore[arg-type]
            list_name=list_name,
            query=query,
            name=request.POST.get("name", ""),
            is_shared="is_shared" in request.POST,
        )
        messages.success(request, f"Saved: {view}.")
    except ControlPlaneError as error:
        messages.error(request, error.message)
    return HttpResponseRedirect(_address(list_name, query))


def delete_view(site: AdminSite, request: HttpRequest, pk: int) -> HttpResponse:
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        view = services.delete_view(actor=request.user, view_id=pk)  # type: ignore[arg-type]
        messages.success(request, f"Deleted: {view}.")
    except SavedViewNotFound:
        raise Http404 from None
    except ControlPlaneError as error:
        messages.error(request, error.message)
    return HttpResponseRedirect(reverse("admin:views"))


def _list_of(site: AdminSite, list_name: str) -> ReadOnlyAdmin | None:
    for model, its in site._registry.items():
        if list_name == f"{model._meta.app_label}_{model._meta.model_name}" and isinstance(its, ReadOnlyAdmin):
            return its
    return None


def _taken(its: ReadOnlyAdmin, request: HttpRequest, given: QueryDict) -> str:
    kept = QueryDict(mutable=True)
    for name, values in given.lists():
        if its.takes(request, name):
            kept.setlist(name, [value.replace("\0", "") for value in values if value])
    return kept.urlencode()


def _address(list_name: str, query: str) -> str:
    page = reverse(f"admin:{list_name}{_LIST}")
    return f"{page}?{query}" if query else page


def _views(site: AdminSite, request: HttpRequest) -> list[dict[str, Any]]:
    """The views of lists that this user may see."""
    user: User = request.user  # type: ignore[assignment]
    shown = []
    for view in queries.saved_views(user):
        its = _list_of(site, view.list_name)
        if its is not None and its.has_view_permission(request):
            shown.append(
                {
                    "view": view,
                    "list": str(its.opts.verbose_name_plural).capitalize(),
                    "url": _address(view.list_name, view.query),
                    "may_delete": _may_delete(view, user),
                }
            )
    return shown


def _may_delete(view: SavedView, user: User) -> bool:
    return view.user_id == user.pk or user.role == "admin"
