from django.urls import path

from billing.api.fishjam import payment_views as payments
from billing.api.fishjam import usage_views as usage

urlpatterns = [
    path("api/v1/payments/details", payments.Details.as_view(), name="fishjam-payment-details"),
    path("api/v1/payments/monthly-billing", usage.MonthlyBilling.as_view(), name="fishjam-monthly-billing"),
    path("api/v1/metrics/current-usage", usage.CurrentUsage.as_view(), name="fishjam-current-usage"),
]
