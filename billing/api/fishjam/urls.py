from django.urls import path

from billing.api.fishjam import payment_views as payments

urlpatterns = [path("api/v1/payments/details", payments.Details.as_view(), name="fishjam-payment-details")]
