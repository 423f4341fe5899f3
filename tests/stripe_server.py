"""Stripe for tests: a strict server of our own, on loopback, that the unpatched SDK speaks to.

It refuses what Stripe refuses (unknown parameters, a missing version or key, bodies that are no forms), keeps what was
made, and honours idempotency keys. What it serves are small classes in RESOURCES: a method per operation, with the
parameters that it takes; a colleague's resource is one more class.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.conf import settings

KEY: Final = "sk_test_51RealLookingKeyOfTheTests"
SECRET: Final = "whsec_of_the_tests"
KEYS_LAST_SECONDS: Final = 86_400
FORM: Final = "application/x-www-form-urlencoded"
# What a parameter is: a text, a list of texts, any mapping of texts, or a mapping with these names.
TEXT, TEXTS, MAP = "text", "texts", "map"
Spec = str | dict[str, Any]
LISTED: Final[dict[str, Spec]] = {"limit": TEXT, "starting_after": TEXT, "ending_before": TEXT}


class Refusal(Exception):
    """What Stripe says no with."""

    def __init__(
        self, status: int, code: str = "", param: str = "", kind: str = "invalid_request_error", message: str = ""
    ) -> None:
        super().__init__(code)
        self.status = status
        error = {"type": kind, "message": message or f"No: {code} {param}", "code": code, "param": param}
        self.body = {"error": {name: value for name, value in error.items() if value}}


def missing(what: str) -> Refusal:
    return Refusal(404, "resource_missing", what)


@dataclass(frozen=True)
class Call:
    """A request as it came."""

    method: str
    path: str
    params: dict[str, Any]
    headers: dict[str, str]


@dataclass
class Fault:
    """What becomes of the next call that fits: a status, or with 0 a connection that ends without an answer; `after`
    the work is done, or before. `retry`: whether the SDK is told to try again; `skip` so many that fit pass first."""

    status: int
    method: str = ""
    path: str = ""
    after: bool = False
    times: int = 1
    retry: bool = False
    then: Callable[[], None] = lambda: None
    skip: int = 0


@dataclass
class Store:
    """What there is. Each resource keeps its own by id."""

    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    number: int = 0

    def new(self, prefix: str, kind: str, **values: Any) -> dict[str, Any]:
        self.number += 1
        made: dict[str, Any] = {
            "id": f"{prefix}_{self.number:014d}",
            "object": kind,
            "created": 1_790_000_000 + self.number,
        }
        self.objects[made["id"]] = made | {"livemode": False} | values
        return self.objects[made["id"]]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [each for each in self.objects.values() if each["object"] == kind]

    def get(self, key: str, kind: str, param: str = "id") -> dict[str, Any]:
        found = self.objects.get(key)
        if found is None or found["object"] != kind:
            raise missing(param)
        return found


class Resource:
    """Base: methods marked with `serves`."""

    def __init__(self, server: StripeServer) -> None:
        self.server = server

    @property
    def store(self) -> Store:
        return self.server.store

    def page(self, path: str, rows: list[dict[str, Any]], params: dict[str, Any]) -> dict[str, Any]:
        limit = int(params.get("limit", 10))
        if not 1 <= limit <= 100:
            raise Refusal(400, "parameter_invalid_integer", "limit")
        ids = [each["id"] for each in rows]
        if "starting_after" in params:
            if params["starting_after"] not in ids:
                raise missing("starting_after")
            rows = rows[ids.index(params["starting_after"]) + 1 :]
        return {"object": "list", "url": path, "has_more": len(rows) > limit, "data": rows[:limit]}

    def demand(self, params: dict[str, Any], *names: str) -> None:
        for name in names:
            if not params.get(name):
                raise Refusal(400, "parameter_missing", name)


def serves(method: str, path: str, **accepted: Spec) -> Callable[[Any], Any]:
    """Mark a method as what answers this path; `{id}` and the like are given to it by name, then the parameters."""

    def mark(function: Any) -> Any:
        pattern = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path))
        function.served = (method, pattern, {"expand": TEXTS, **accepted})
        return function

    return mark


# --- What is served --------------------------------------------------------------------------------

_ADDRESS: Final[dict[str, Spec]] = dict.fromkeys(("line1", "line2", "city", "state", "postal_code", "country"), TEXT)
_CUSTOMER: Final[dict[str, Spec]] = {
    **dict.fromkeys(("name", "email", "phone", "description"), TEXT),
    "address": _ADDRESS,
    "metadata": MAP,
}


class Customers(Resource):
    @serves("POST", "/v1/customers", **_CUSTOMER)
    def create(self, **params: Any) -> Any:
        self._check(params)
        nothing = dict.fromkeys(("name", "email", "phone", "description", "address"))
        made = self.store.new("cus", "customer", **nothing, metadata={})
        return self._shown(self._set(made, params), params)

    @serves("GET", "/v1/customers/search", query=TEXT, limit=TEXT, page=TEXT)
    def search(self, **params: Any) -> Any:
        found = re.fullmatch(r"metadata\['(\w+)'\]:'([\w-]+)'", params.get("query", ""))
        if found is None:
            raise Refusal(400, "parameter_invalid", "query")
        rows = [] if self.server.search_lags else self.store.of("customer")
        rows = [each for each in rows if each["metadata"].get(found[1]) == found[2] and not each.get("deleted")]
        return {"object": "search_result", "url": "/v1/customers/search", "has_more": False, "data": rows}

    @serves("GET", "/v1/customers/{id}")
    def retrieve(self, id: str, **params: Any) -> Any:
        found = self.store.get(id, "customer")
        if found.get("deleted"):
            return {"id": id, "object": "customer", "deleted": True}
        return self._shown(found, params)

    @serves("POST", "/v1/customers/{id}", **_CUSTOMER)
    def update(self, id: str, **params: Any) -> Any:
        self._check(params)
        return self._shown(self._set(self.living(id), params), params)

    @serves("DELETE", "/v1/customers/{id}")
    def delete(self, id: str) -> Any:
        self.living(id)["deleted"] = True
        return {"id": id, "object": "customer", "deleted": True}

    def living(self, id: str, param: str = "id") -> dict[str, Any]:
        found = self.store.get(id, "customer", param)
        if found.get("deleted"):
            raise missing(param)
        return found

    def _check(self, params: dict[str, Any]) -> None:
        email = params.get("email")
        if email and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
            raise Refusal(400, "email_invalid", "email")
        for name, most in {"name": 256, "phone": 20, "email": 512}.items():
            if len(params.get(name, "")) > most:
                raise Refusal(400, "parameter_invalid_string_length", name)

    def _set(self, customer: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        for name in ("name", "email", "phone", "description"):
            if name in params:
                customer[name] = params[name] or None
        if "address" in params:
            before = customer["address"] or dict.fromkeys(_ADDRESS)
            customer["address"] = before | {name: text or None for name, text in params["address"].items()}
        customer["metadata"] |= params.get("metadata", {})
        return customer

    def _shown(self, customer: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
        if "tax_ids" not in params.get("expand", []):
            return customer
        rows = [each for each in self.store.of("tax_id") if each["customer"] == customer["id"]]
        return customer | {"tax_ids": self.page(f"/v1/customers/{customer['id']}/tax_ids", rows, {})}


class TaxIds(Resource):
    KINDS: Final = {"eu_vat": r"[A-Z]{2}[0-9A-Z]{8,12}", "us_ein": r"\d{2}-\d{7}", "gb_vat": r"GB\d{9}"}

    @serves("POST", "/v1/customers/{customer}/tax_ids", type=TEXT, value=TEXT)
    def create(self, customer: str, **params: Any) -> Any:
        Customers(self.server).living(customer, "customer")
        for name in ("type", "value"):
            if name not in params:
                raise Refusal(400, "parameter_missing", name)
        if params["type"] not in self.KINDS:
            raise Refusal(400, "parameter_invalid", "type")
        if not re.fullmatch(self.KINDS[params["type"]], params["value"]):
            raise Refusal(400, "tax_id_invalid", "value")
        return self.store.new("txi", "tax_id", customer=customer, **params)

    @serves("GET", "/v1/customers/{customer}/tax_ids", **LISTED)
    def list(self, customer: str, **params: Any) -> Any:
        rows = [each for each in self.store.of("tax_id") if each["customer"] == customer]
        return self.page(f"/v1/customers/{customer}/tax_ids", rows, params)

    @serves("DELETE", "/v1/customers/{customer}/tax_ids/{id}")
    def delete(self, customer: str, id: str) -> Any:
        if self.store.get(id, "tax_id")["customer"] != customer:
            raise missing("id")
        del self.store.objects[id]
        return {"id": id, "object": "tax_id", "deleted": True}


class PortalSessions(Resource):
    @serves("POST", "/v1/billing_portal/sessions", customer=TEXT, return_url=TEXT, configuration=TEXT, locale=TEXT)
    def create(self, **params: Any) -> Any:
        if "customer" not in params:
            raise Refusal(400, "parameter_missing", "customer")
        Customers(self.server).living(params["customer"], "customer")
        made = self.store.new("bps", "billing_portal.session", **params)
        made["url"] = f"https://billing.stripe.com/p/session/{made['id']}"
        return made


def whole(params: dict[str, Any], name: str) -> int:
    if not re.fullmatch(r"-?\d{1,15}", params[name]):
        raise Refusal(400, "parameter_invalid_integer", name)
    return int(params[name])


class Invoices(Resource):
    """Drafts that are finalized, paid, given up, voided; https://docs.stripe.com/invoicing/overview says which may."""

    FROM: Final = {
        "finalize": ("draft",), "pay": ("open", "uncollectible"), "void": ("open", "uncollectible"),
        "mark_uncollectible": ("open",),
    }  # fmt: skip

    @serves(
        "POST", "/v1/invoices", customer=TEXT, auto_advance=TEXT, currency=TEXT, metadata=MAP, description=TEXT,
        collection_method=TEXT, pending_invoice_items_behavior=TEXT, days_until_due=TEXT,
    )  # fmt: skip
    def create(self, **params: Any) -> Any:
        self.demand(params, "customer")
        Customers(self.server).living(params["customer"], "customer")
        if params.get("pending_invoice_items_behavior", "exclude") not in ("exclude", "include"):
            raise Refusal(400, "parameter_invalid", "pending_invoice_items_behavior")
        if params.get("auto_advance", "false") not in ("true", "false"):
            raise Refusal(400, "parameter_invalid", "auto_advance")
        return self._shown(self.make(**{**params, "parent": None}))

    def make(self, **values: Any) -> dict[str, Any]:
        at = int(self.server.now())
        made: dict[str, Any] = {
            "currency": "usd", "metadata": {}, "period_start": at, "period_end": at, "status": "draft",
            "hosted_invoice_url": None, "amount_paid": 0,
        }  # fmt: skip
        made |= {name: value for name, value in values.items() if name != "expand"}
        return self.store.new("in", "invoice", **made | {"created": at})

    def _shown(self, invoice: dict[str, Any]) -> dict[str, Any]:
        total = sum(each["amount"] for each in self.items_of(invoice["id"]))
        due = max(0, total)
        return invoice | {"total": total, "subtotal": total, "amount_due": due}

    def items_of(self, invoice_id: str) -> list[dict[str, Any]]:
        return [each for each in self.store.of("invoiceitem") if each["invoice"] == invoice_id]

    @serves("GET", "/v1/invoices", customer=TEXT, status=TEXT, subscription=TEXT, **LISTED)
    def list(self, **params: Any) -> Any:
        rows = [
            self._shown(each)
            for each in reversed(self.store.of("invoice"))
            if params.get("customer") in (None, each["customer"]) and params.get("status") in (None, each["status"])
        ]
        return self.page("/v1/invoices", rows, params)

    @serves("GET", "/v1/invoices/{id}")
    def retrieve(self, id: str, **params: Any) -> Any:
        return self._shown(self.store.get(id, "invoice"))

    @serves("DELETE", "/v1/invoices/{id}")
    def delete(self, id: str) -> Any:
        if self.store.get(id, "invoice")["status"] != "draft":
            raise Refusal(400, "invoice_not_editable")
        for each in self.items_of(id):
            del self.store.objects[each["id"]]
        del self.store.objects[id]
        return {"id": id, "object": "invoice", "deleted": True}

    def _move(self, id: str, how: str, to: str) -> Any:
        found = self.store.get(id, "invoice")
        if found["status"] not in self.FROM[how]:
            raise Refusal(400, "", message=f"This invoice is {found['status']}: it cannot be {to}.")
        found["status"] = to
        return self._shown(found)

    @serves("POST", "/v1/invoices/{id}/finalize", auto_advance=TEXT)
    def finalize(self, id: str, **params: Any) -> Any:
        moved = self._move(id, "finalize", "open")
        found = self.store.objects[id]
        found["hosted_invoice_url"] = f"https://invoice.stripe.com/i/{id}"
        # Below Stripe's smallest charge it is the customer's balance that changes.
        if moved["total"] < 50:
            found["status"] = "paid"
        return self._shown(found)

    @serves("POST", "/v1/invoices/{id}/pay", paid_out_of_band=TEXT)
    def pay(self, id: str, **params: Any) -> Any:
        return self._move(id, "pay", "paid")

    @serves("POST", "/v1/invoices/{id}/void")
    def void(self, id: str, **params: Any) -> Any:
        return self._move(id, "void", "void")

    @serves("POST", "/v1/invoices/{id}/mark_uncollectible")
    def mark_uncollectible(self, id: str, **params: Any) -> Any:
        return self._move(id, "mark_uncollectible", "uncollectible")


class InvoiceItems(Resource):
    MOST: Final = 250

    @serves(
        "POST", "/v1/invoiceitems", customer=TEXT, invoice=TEXT, amount=TEXT, currency=TEXT, description=TEXT,
        metadata=MAP,
    )  # fmt: skip
    def create(self, **params: Any) -> Any:
        self.demand(params, "customer", "amount", "currency")
        Customers(self.server).living(params["customer"], "customer")
        values = {name: value for name, value in params.items() if name != "expand"}
        values |= {"amount": whole(params, "amount"), "invoice": params.get("invoice")}
        if values["invoice"] is not None:
            invoice = self.store.get(values["invoice"], "invoice", "invoice")
            if invoice["status"] != "draft":
                raise Refusal(400, "invoice_not_editable", "invoice")
            if (invoice["customer"], invoice["currency"]) != (params["customer"], params["currency"]):
                raise Refusal(400, "parameter_invalid", "invoice")
            if len(Invoices(self.server).items_of(invoice["id"])) >= self.MOST:
                raise Refusal(400, "invoice_too_many_items", "invoice")
        return self.store.new("ii", "invoiceitem", **{"metadata": {}, "description": None, **values})

    @serves("GET", "/v1/invoiceitems", customer=TEXT, invoice=TEXT, pending=TEXT, **LISTED)
    def list(self, **params: Any) -> Any:
        rows = [
            each
            for each in reversed(self.store.of("invoiceitem"))
            if all(params.get(name) in (None, each[name]) for name in ("customer", "invoice"))
        ]
        return self.page("/v1/invoiceitems", rows, params)

    @serves("DELETE", "/v1/invoiceitems/{id}")
    def delete(self, id: str) -> Any:
        item = self.store.get(id, "invoiceitem")
        if item["invoice"] and self.store.get(item["invoice"], "invoice")["status"] != "draft":
            raise Refusal(400, "invoice_not_editable")
        del self.store.objects[id]
        return {"id": id, "object": "invoiceitem", "deleted": True}


class Meters(Resource):
    @serves(
        "POST", "/v1/billing/meters", display_name=TEXT, event_name=TEXT, default_aggregation={"formula": TEXT},
        customer_mapping={"type": TEXT, "event_payload_key": TEXT}, value_settings={"event_payload_key": TEXT},
    )  # fmt: skip
    def create(self, **params: Any) -> Any:
        self.demand(params, "display_name", "event_name", "default_aggregation")
        if params["default_aggregation"].get("formula") not in ("sum", "count", "last"):
            raise Refusal(400, "parameter_invalid", "default_aggregation[formula]")
        if self.active(params["event_name"]):
            raise Refusal(400, "parameter_invalid", "event_name")
        values = {name: value for name, value in params.items() if name != "expand"}
        return self.store.new("mtr", "billing.meter", status="active", **values)

    def active(self, name: str) -> dict[str, Any] | None:
        rows = (each for each in self.store.of("billing.meter") if each["event_name"] == name)
        return next((each for each in rows if each["status"] == "active"), None)

    @serves("GET", "/v1/billing/meters", status=TEXT, **LISTED)
    def list(self, **params: Any) -> Any:
        rows = [each for each in self.store.of("billing.meter") if params.get("status") in (None, each["status"])]
        return self.page("/v1/billing/meters", rows, params)

    @serves(
        "GET", "/v1/billing/meters/{id}/event_summaries", customer=TEXT, start_time=TEXT, end_time=TEXT,
        value_grouping_window=TEXT, **LISTED,
    )  # fmt: skip
    def summaries(self, id: str, **params: Any) -> Any:
        self.demand(params, "customer", "start_time", "end_time")
        meter = self.store.get(id, "billing.meter")
        begin, end = whole(params, "start_time"), whole(params, "end_time")
        if begin % 60 or end % 60 or begin >= end:
            raise Refusal(400, "parameter_invalid", "start_time")
        values = [
            int(each["payload"]["value"])
            for each in self.store.of("billing.meter_event")
            if each["event_name"] == meter["event_name"]
            and each["payload"]["stripe_customer_id"] == params["customer"]
            and begin <= each["timestamp"] < end
        ]
        one = {
            "id": f"mtrusg_{id}", "object": "billing.meter_event_summary", "aggregated_value": float(sum(values)),
            "start_time": begin, "end_time": end, "meter": id, "livemode": False,
        }  # fmt: skip
        return self.page(f"/v1/billing/meters/{id}/event_summaries", [one] if values else [], params)


class MeterEvents(Resource):
    DAY: Final = 86_400

    @serves("POST", "/v1/billing/meter_events", event_name=TEXT, payload=MAP, identifier=TEXT, timestamp=TEXT)
    def create(self, **params: Any) -> Any:
        self.demand(params, "event_name", "payload")
        if Meters(self.server).active(params["event_name"]) is None:
            raise Refusal(400, "no_meter", "event_name")
        now = self.server.now()
        at = whole({"timestamp": str(int(now)), **params}, "timestamp")
        if not now - 35 * self.DAY <= at <= now + 300:
            raise Refusal(400, "timestamp_too_far_in_past" if at < now else "timestamp_in_future", "timestamp")
        payload = params["payload"]
        if set(payload) != {"stripe_customer_id", "value"}:
            raise Refusal(400, "meter_event_dimension_missing", "payload")
        Customers(self.server).living(payload["stripe_customer_id"], "payload[stripe_customer_id]")
        if not re.fullmatch(r"[1-9]\d{0,14}", payload["value"]):
            raise Refusal(400, "meter_event_invalid_value", "payload[value]")
        identifier = params.get("identifier") or f"made-up-{self.store.number}"
        if len(identifier) > 100:
            raise Refusal(400, "parameter_invalid_string_length", "identifier")
        rows = self.store.of("billing.meter_event")
        if any(each["identifier"] == identifier and each["received"] > now - self.DAY for each in rows):
            # Stripe has no code for it.
            raise Refusal(400, message=f"An event already exists with identifier {identifier}.")
        values = {"event_name": params["event_name"], "payload": payload, "identifier": identifier, "timestamp": at}
        return self.store.new("mev", "billing.meter_event", received=now, **values)


RESOURCES: Final[tuple[type[Resource], ...]] = (
    *(Customers, TaxIds, PortalSessions, Invoices, InvoiceItems, Meters, MeterEvents),
)


# --- How it is asked -------------------------------------------------------------------------------


def nested(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """A form as Stripe reads it: `address[city]=…`, `expand[0]=…`, `items[0][price]=…`."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        head, *rest = re.findall(r"[^\[\]]+", name)
        place, key = found, head
        for part in rest:
            place, key = place.setdefault(key, {}), part
        place[key] = value
    return found


def _checked(given: Any, spec: Spec, at: str) -> Any:
    """What was given for a parameter, in its own shape."""
    if spec == TEXT and isinstance(given, str):
        return given
    if spec == TEXTS and isinstance(given, dict) and all(key.isdigit() for key in given):
        return [given[key] for key in sorted(given, key=int)]
    if spec == MAP and isinstance(given, dict):
        return given
    if isinstance(spec, dict) and isinstance(given, dict):
        for name in given:
            if name not in spec:
                raise Refusal(400, "parameter_unknown", f"{at}[{name}]" if at else name)
        return {name: _checked(value, spec[name], f"{at}[{name}]" if at else name) for name, value in given.items()}
    raise Refusal(400, "parameter_invalid", at)


@dataclass
class _Kept:
    """What was answered to an idempotency key."""

    request: tuple[str, str, str]
    at: float
    answer: tuple[int, bytes] | None = None


class StripeServer:
    """One of these; `calls` is what was asked, `faults` what is to go wrong."""

    def __init__(self) -> None:
        self._routes = [
            (*getattr(resource, name).served, getattr(resource(self), name))
            for resource in RESOURCES
            for name in vars(resource)
            if hasattr(getattr(resource, name), "served")
        ]
        self._lock = threading.RLock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._http.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._http.server_port}"
        self.reset()
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def reset(self) -> None:
        self.store, self.calls, self.faults = Store(), list[Call](), list[Fault]()
        self.search_lags = False
        self.ahead_seconds = 0.0
        self._kept: dict[str, _Kept] = {}

    def now(self) -> float:
        """By its own clock, which tests set."""
        return time.time() + self.ahead_seconds

    def set_clock(self, at: datetime) -> None:
        self.ahead_seconds = at.timestamp() - time.time()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def asked(self) -> list[str]:
        """Method and path of each call, with ids left out."""
        return [f"{each.method} {re.sub(r'_[0-9]{14}', '', each.path)}" for each in self.calls]

    def customers(self) -> list[dict[str, Any]]:
        return [each for each in self.store.of("customer") if not each.get("deleted")]

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> _Answer | None:
        """What is answered; None: nothing, and the connection ends."""
        url = urlsplit(target)
        try:
            params = self._read(method, url.query, headers, body)
            self.calls.append(Call(method, url.path, params, headers))
            if (fault := self._fault(method, url.path, after=False)) is not None:
                return self._broken(fault)
            made = self._once(method, url.path, params, headers, url.query + body.decode())
        except Refusal as refusal:
            return _Answer(refusal.status, json.dumps(refusal.body).encode())
        fault = self._fault(method, url.path, after=True)
        return made if fault is None else self._broken(fault)

    def _read(self, method: str, query: str, headers: dict[str, str], body: bytes) -> dict[str, Any]:
        if not _is_key(headers.get("authorization", "")):
            raise Refusal(401, "", "", "invalid_request_error")
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}\.\w+", headers.get("stripe-version", "")):
            raise Refusal(400, "parameter_invalid", "Stripe-Version")
        if method != "POST":
            return nested(parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query)))
        if headers.get("content-type") != FORM or query:
            raise Refusal(400, "parameter_invalid", "Content-Type")
        return nested(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body)))

    def _fault(self, method: str, path: str, *, after: bool) -> Fault | None:
        for fault in self.faults:
            fits = fault.after is after and method.startswith(fault.method) and re.match(fault.path, path)
            if fits and fault.skip:
                fault.skip -= 1
            elif fits and fault.times:
                fault.times -= 1
                return fault
        return None

    def _broken(self, fault: Fault) -> _Answer | None:
        fault.then()
        if fault.status == 0:
            return None
        kind = {402: "card_error", 429: "invalid_request_error"}.get(fault.status, "api_error")
        refusal = Refusal(fault.status, {402: "card_declined", 429: "rate_limit"}.get(fault.status, ""), "", kind)
        more = {"Stripe-Should-Retry": "true" if fault.retry else "false"}
        return _Answer(fault.status, json.dumps(refusal.body).encode(), more)

    def _once(self, method: str, path: str, params: dict[str, Any], headers: dict[str, str], raw: str) -> _Answer:
        key = headers.get("idempotency-key")
        if method != "POST" or key is None:
            return _Answer(200, json.dumps(self._done(method, path, params)).encode())
        with self._lock:
            if key in self._kept and self._kept[key].at < self.now() - KEYS_LAST_SECONDS:
                del self._kept[key]
            kept = self._kept.setdefault(key, mine := _Kept((method, path, raw), self.now()))
        if kept.request != (method, path, raw):
            raise Refusal(400, "", "", "idempotency_error")
        if kept is not mine:
            if kept.answer is None:
                raise Refusal(409, "idempotency_key_in_use", "", "idempotency_error")
            return _Answer(*kept.answer, {"Idempotent-Replayed": "true"})
        try:
            done = json.dumps(self._done(method, path, params)).encode()
        except Refusal:
            del self._kept[key]  # what never began is not kept
            raise
        kept.answer = (200, done)
        return _Answer(200, done)

    def _done(self, method: str, path: str, params: dict[str, Any]) -> Any:
        for its_method, pattern, accepted, function in self._routes:
            found = pattern.fullmatch(path)
            if found and its_method == method:
                with self._lock:
                    return function(**found.groupdict(), **_checked(params, accepted, ""))
        raise Refusal(404, "", "")


def _is_key(header: str) -> bool:
    scheme, _, given = header.partition(" ")
    if scheme == "Basic":
        given = base64.b64decode(given).decode().removesuffix(":")
    return scheme in ("Bearer", "Basic") and given == KEY


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def _handler_of(server: StripeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answer = server.answer(self.command, self.path, headers, body)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer.status)
            fixed = {"Content-Type": "application/json", "Content-Length": str(len(answer.body)), "Request-Id": "req_1"}
            for name, value in {**fixed, **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815 - the base calls them so

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    return Handler


# --- For tests -------------------------------------------------------------------------------------


@cache
def _shared() -> StripeServer:
    return StripeServer()


def stand_in(monkeypatch: pytest.MonkeyPatch) -> StripeServer:
    """From here on Stripe is a server of the tests', with nothing in it."""
    server = _shared()
    server.reset()
    monkeypatch.setattr(settings, "STRIPE_API_KEY", KEY)
    monkeypatch.setattr(settings, "STRIPE_API_BASE", server.base)
    monkeypatch.setattr(settings, "STRIPE_WEBHOOK_SECRETS", [SECRET])
    return server


@contextmanager
def running() -> Iterator[StripeServer]:
    """Another one, for other processes."""
    server = StripeServer()
    try:
        yield server
    finally:
        server.stop()


def event(kind: str, about: dict[str, Any], number: int = 1) -> dict[str, Any]:
    """What Stripe sends of something that happened."""
    return {
        "id": f"evt_{number:014d}", "object": "event", "type": kind, "created": int(time.time()), "livemode": False,
        "data": {"object": about},
    }  # fmt: skip


def signed(body: bytes, secret: str = SECRET, at: float | None = None) -> str:
    """The header that Stripe signs a body with."""
    moment = int(time.time() if at is None else at)
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, "sha256").hexdigest()
    return f"t={moment},v1={digest}"
