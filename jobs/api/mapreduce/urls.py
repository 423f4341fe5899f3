from django.urls import path

from jobs.api.mapreduce import job_views, views

urlpatterns = [
    path("api/v1/artifacts", views.Artifacts.as_view(), name="mapreduce-artifacts"),
    path("api/v1/artifacts/<str:filename>", views.OneArtifact.as_view(), name="mapreduce-artifact"),
    path("api/v1/jobs", job_views.Jobs.as_view(), name="mapreduce-jobs"),
    path("api/v1/jobs/<str:id>", job_views.OneJob.as_view(), name="mapreduce-job"),
    path("api/v1/jobs/<str:id>/tasks", job_views.Tasks.as_view(), name="mapreduce-tasks"),
]
