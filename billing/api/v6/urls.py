"""The native resources of billing; controlplane.urls puts them on the one router."""

from __future__ import annotations

from django.urls import path, re_path
from rest_framework.routers import SimpleRouter

from billing.api.v6.bills import BillViewSet
from billing.api.v6.budgets import BudgetViewSet
from billing.api.v6.costs import ClusterCostViewSet, CostsViewSet, JobCostViewSet, JobTypeCostViewSet
from billing.api.v6.payments import Portal
from billing.api.v6.usage import CorrectionViewSet, UsageViewSet
from controlplane.core.openapi import REFERENCE
from jobtypes.api.v6.urls import VERSION

router = SimpleRouter()
router.register("usage", UsageViewSet, "usage")
router.register("corrections", CorrectionViewSet, "correction")
router.register("bills", BillViewSet, "bill")
router.register("budgets", BudgetViewSet, "budget")

urlpatterns = [
    path("costs/", CostsViewSet.as_view({"get": "list"}), name="costs"),
    re_path(rf"^jobs/(?P<job>{REFERENCE})/cost/$", JobCostViewSet.as_view({"get": "retrieve"}), name="job-cost"),
    re_path(
        rf"^clusters/(?P<cluster>{REFERENCE})/cost/$",
        ClusterCostViewSet.as_view({"get": "retrieve"}),
        name="cluster-cost",
    ),
    re_path(rf"{VERSION}cost/$", JobTypeCostViewSet.as_view({"get": "retrieve"}), name="job-type-cost"),
    path("payments/portal/", Portal.as_view({"post": "make"}), name="payments-portal"),
]
