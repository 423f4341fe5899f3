"""Closed months in the admin, and the button that closes the next one."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from billing import money, queries, services
from billing.admin.story import bills_url, in_cents, month_text, timeline
from billing.hours import month_of
from billing.models import ClosedMonth
from billing.queries import Closing
from controlplane.core.admin import ServiceForm, facts, link, when
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.errors import Conflict, ControlPlaneError
from controlplane.core.service_admin import ServiceAdmin, posted

AT_ONCE_SECONDS: Final = 3.0  # what a request may take of closing; a task does the rest


class CloseForm(ServiceForm):
    month = forms.CharField(widget=forms.HiddenInput)


class MonthChangeList(ChangeList):
    """A page of months, each with its bills counted."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        bills = queries.bills_by_month(row.month for row in self.result_list)
        for row in self.result_list:
            row.bills = bills.get(row.month, (0, 0, 0))


@admin.register(ClosedMonth)
class ClosedMonthAdmin(DetailAdmin, ServiceAdmin):
    """All of the staff look; admins close."""

    change_list_template = "admin/billing/closedmonth/change_list.html"
    list_display = ("of_month", "closed", "bills", "being_made", "usd")
    ordering = ("-month",)
    sortable_by = ()
    fields = ("month",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return MonthChangeList

    @admin.display(description="month")
    def of_month(self, row: ClosedMonth) -> str:
        return month_text(row.month)

    @admin.display(description="closed")
    def closed(self, row: ClosedMonth) -> SafeString | str:
        return when(row.closed_at)

    @admin.display(description="bills")
    def bills(self, row: Any) -> SafeString:
        return _bills_link(row.month, row.bills[0])

    @admin.display(description="not final yet")
    def being_made(self, row: Any) -> int | str:
        return row.bills[1] or ""

    @admin.display(description="USD")
    def usd(self, row: Any) -> str:
        return in_cents(row.bills[2])

    def detail(self, request: HttpRequest, row: ClosedMonth) -> Detail:
        count, drafts, cents = queries.bills_by_month([row.month]).get(row.month, (0, 0, 0))
        about = facts(
            (
                ("Closed", when(row.closed_at)),
                ("Bills", _bills_link(row.month, count)),
                ("Not final yet", drafts or ""),
                ("Together", f"{in_cents(cents)} {money.CURRENCY}"),
            )
        )
        number = row.month.year * 100 + row.month.month
        return Detail(
            title=f"Month {row}",
            badges=(),
            cards=[("Its bills", about)],
            sections=[("What happened", timeline("month", number))],
        )

    # --- Closing -------------------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self._close)
        return [path("close/", view, name="billing_closedmonth_close"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        found = queries.next_to_close() if self.permitted(request, "add") else None
        has_ended = found is not None and found.month < month_of(timezone.now())
        more = {"closing": month_text(found.month) if found and has_ended else ""}
        return super().changelist_view(request, {**(extra_context or {}), **more})

    def _close(self, request: HttpRequest) -> HttpResponse:
        """Asks, with what the month comes to; then closes it."""
        if not self.permitted(request, "add"):
            raise PermissionDenied
        back = reverse("admin:billing_closedmonth_changelist")
        found = queries.next_to_close()
        if found is None:
            self.message_user(request, "Nothing was used since the last month that was closed.", messages.INFO)
            return HttpResponseRedirect(back)
        form = CloseForm(posted(request), initial={"month": month_text(found.month)})
        if request.method == "POST" and form.is_valid():
            try:
                self.message_user(request, _closed(request, found, form.cleaned_data["month"]), messages.SUCCESS)
            except ControlPlaneError as error:
                self.message_user(request, error.message, messages.ERROR)
            return HttpResponseRedirect(back)
        more = {"button": "Close", "warning": _warning(found)}
        return self._page(request, f"Close {month_text(found.month)}?", form, back, more)


def _closed(request: HttpRequest, found: Closing, seen: str) -> str:
    month = month_text(found.month)
    if seen != month:
        raise Conflict(f"{seen} is not the month to be closed next, which is {month}: it may be closed already.")
    actor: Any = request.user
    if services.begin_closing(month=found.month, actor=actor, seconds=AT_ONCE_SECONDS):
        return f"Closed: {month}. All of its bills are final."
    return f"Closed: {month}. Its bills are being made final, which goes on in the background."


def _warning(found: Closing) -> str:
    count = f"{found.customers} customer{'' if found.customers == 1 else 's'}"
    return (
        f"{count}, {money.text(found.cost_nano)} USD. Their bills become final, and what is metered of the month later "
        "goes onto the next bill. That cannot be undone."
    )


def _bills_link(month: Any, count: int) -> SafeString:
    return link(bills_url(month=month_text(month)), count)
