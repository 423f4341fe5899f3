from django.urls import path

from accounts.api.mapsor import views

urlpatterns = [
    path("add-user", views.AddUser.as_view()),
    path("regenerate-token", views.RegenerateToken.as_view()),
    path("enable-user", views.EnableUser.as_view()),
    path("disable-user", views.DisableUser.as_view()),
]
