from rest_framework import routers, serializers, viewsets

from tests.bench.peer.models import Job


class JobSerializer(serializers.ModelSerializer):
    class Meta:
        model = Job
        fields = "__all__"


class JobViewSet(viewsets.ModelViewSet):
    queryset = Job.objects.all()
    serializer_class = JobSerializer


router = routers.SimpleRouter()
router.register("jobs", JobViewSet)
urlpatterns = router.urls
