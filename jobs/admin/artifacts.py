"""Artifacts: the programs of MapReduce jobs, with their versions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from clusters.queries import link_of_object
from controlplane.core.admin import ServiceForm, badge, facts, link, link_out, table, when
from controlplane.core.admin_filters import ChoiceFilter
from controlplane.core.beginnings import begins
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import ServiceAdmin
from jobs.models import Artifact, ArtifactVersion, Protocol
from jobs.queries.artifacts import path_of
from jobs.services import artifacts as services

SHOWN = 100  # versions


class ProtocolFilter(ChoiceFilter):
    title = "protocol"
    parameters = ("protocol",)
    words = tuple(Protocol.choices)


class ProtocolForm(ServiceForm):
    protocol = forms.ChoiceField(
        choices=Protocol.choices,
        help_text="Apollo: a process for each line and key, by sockets. Streaming: one for each split and partition, "
        "by standard input and output.",
    )


class NewArtifactForm(ProtocolForm):
    name = forms.CharField(max_length=services.NAME_LENGTH, help_text="One that is there already gets a new version.")
    program = forms.FileField(help_text="The executable.")
    field_order = ("name", "program")


@admin.register(Artifact)
class ArtifactAdmin(DetailAdmin, ServiceAdmin, KeysetAdmin):
    """Those that are not deleted. What is uploaded here is the staff's."""

    list_display = ("id", "name", "customer", "owner", "protocol", "version", "bytes", "modified")
    list_display_links = ("id", "name")
    list_filter = (ProtocolFilter,)
    list_select_related = ("customer", "owner")
    search_fields = ("name",)
    search_help_text = "How a name begins"
    fields = ("name",)
    history_of = "artifact"
    add_form = NewArtifactForm
    change_form = ProtocolForm
    removal = "Delete"
    removal_warning = "All its versions go for good."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Artifact]:
        return super().get_queryset(request).filter(deleted_at=None).select_related("customer", "owner")

    def search(self, rows: QuerySet[Artifact], term: str) -> QuerySet[Artifact]:
        return begins(rows, "name", term)

    @admin.display(description="bytes")
    def bytes(self, artifact: Artifact) -> int:
        return artifact.size

    @admin.display(description="changed")
    def modified(self, artifact: Artifact) -> SafeString | str:
        return when(artifact.modified_at)

    def detail(self, request: HttpRequest, row: Artifact) -> Detail:
        whose = row.customer or "the staff"
        known = [
            ("Id", row.pk),
            ("Of", whose),
            ("Uploaded first by", row.owner),
            ("Version", row.version),
            ("Bytes", row.size),
            ("SHA-256", row.sha256),
            ("Made", when(row.created_at)),
            ("Changed", when(row.modified_at)),
        ]
        return Detail(
            title=f"Artifact {row.name}",
            badges=[badge(row.protocol, "busy")],
            line=format_html("A program of {}", whose),
            cards=(("The program", facts(known)),),
            sections=(("Versions", _versions(row)),),
        )

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> Artifact:
        source = wish["program"].chunks()
        actor: Any = request.user
        return services.put_artifact(actor=actor, name=wish["name"], source=source, protocol=wish["protocol"])

    def initial(self, row: Artifact) -> dict[str, Any]:
        return {"protocol": row.protocol}

    def change(self, request: HttpRequest, row: Artifact, wish: dict[str, Any], form: Any) -> None:
        services.edit_artifact(row, actor=request.user, protocol=wish["protocol"])  # type: ignore[arg-type]

    def remove(self, request: HttpRequest, row: Artifact) -> None:
        services.delete_artifact(row, actor=request.user)  # type: ignore[arg-type]


def _versions(row: Artifact) -> SafeString:
    """The newest, each with where it is to be had."""
    content = f"{reverse('artifact-content', args=[row.name])}?"
    if row.customer:
        content += f"{urlencode({'customer': row.customer.name})}&"
    rows = [
        (
            link(f"{content}version={each.number}", each.number),
            each.size,
            each.sha256,
            each.created_by,
            when(each.created_at),
            _at_cloud(each),
        )
        for each in row.versions.select_related("created_by").order_by("-number")[:SHOWN]
    ]
    return table(("Version", "Bytes", "SHA-256", "By", "Made", "At the cloud"), rows)


def _at_cloud(version: ArtifactVersion) -> SafeString | str:
    url = link_of_object(settings.ARTIFACT_STORAGE, path_of(version))
    return link_out(url, "its page") if url else ""
