"""What can go wrong with money."""

from __future__ import annotations

from controlplane.core.errors import Conflict, NotFound


class BillNotFound(NotFound):
    """There is no such bill."""

    code = "BILL_NOT_FOUND"


class BudgetNotFound(NotFound):
    """There is no such budget."""

    code = "BUDGET_NOT_FOUND"


class BudgetExists(Conflict):
    """There is a budget of that already: change it, or lift it."""

    code = "BUDGET_EXISTS"


class MonthOpen(Conflict):
    """The month has not ended, or not all of it has been metered yet."""

    code = "MONTH_OPEN"


class BillState(Conflict):
    """The state of the bill does not allow it."""

    code = "BILL_STATE"
