from django.urls import path

from jobs.api.mapreduce import views

urlpatterns = [
    path("api/v1/artifacts", views.Artifacts.as_view(), name="mapreduce-artifacts"),
    path("api/v1/artifacts/<str:filename>", views.OneArtifact.as_view(), name="mapreduce-artifact"),
]
