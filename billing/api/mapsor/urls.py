from django.urls import path

from billing.api.mapsor import views

urlpatterns = [path("get-metrics", views.GetMetrics.as_view())]
