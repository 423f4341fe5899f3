import json

from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils.dateparse import parse_datetime
from rest_framework import routers, serializers, viewsets

from tests.bench.peer.models import Job, PlainJob


class JobSerializer(serializers.ModelSerializer):
    class Meta:
        model = Job
        fields = "__all__"


class JobViewSet(viewsets.ModelViewSet):
    queryset = Job.objects.all()
    serializer_class = JobSerializer


def keyset(request: HttpRequest) -> HttpResponse:
    """A page of a hundred rows by key: no authentication, no filters, no count, no names of other tables."""
    rows = PlainJob.objects.order_by("modified_at", "id")
    if "t" in request.GET:
        values = [parse_datetime(request.GET["t"]), int(request.GET["id"])]
        rows = rows.extra(where=["(modified_at, id) > (%s, %s)"], params=values)
    text = json.dumps({"results": list(rows.values()[:100])}, cls=DjangoJSONEncoder)
    return HttpResponse(text, content_type="application/json")


router = routers.SimpleRouter()
router.register("jobs", JobViewSet)
urlpatterns = [path("keyset", keyset), *router.urls]
