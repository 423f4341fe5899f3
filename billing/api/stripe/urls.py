from django.urls import path

from billing.api.stripe import views

urlpatterns = [path("stripe/webhook/", views.webhook, name="stripe-webhook")]
