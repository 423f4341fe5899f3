from django.urls import path

from accounts.api.account import pages

urlpatterns = [
    path("account/verify/", pages.verify, name="account-verify"),
    path("account/reset/", pages.reset, name="account-reset"),
]
