from django.urls import path

from jobs.api.mapsor import machines, views

urlpatterns = [
    path("submit", views.Submit.as_view()),
    path("status/<str:id>", views.Status.as_view()),
    path("cancel/<str:id>", views.Cancel.as_view()),
    path("retry/<str:id>", views.Retry.as_view()),
    path("logs/<str:id>", views.Logs.as_view()),
    path("get-info/<str:region>/<str:instance_id>", machines.GetInfo.as_view()),
    path("destroy/<str:region>/<str:instance_id>", machines.Destroy.as_view()),
    path("list", views.List.as_view()),
]
