"""Statements over sets of rows: one round trip whatever the number, on PostgreSQL and on SQLite.

PostgreSQL takes one array per column (`unnest`), 5 times the speed of many-row VALUES; SQLite takes
`executemany` inside the transaction. Column types come from the models.
"""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final

import psycopg
from django.db import connection, models
from django.db.models import Q
from django.db.models.expressions import RawSQL

Row = Sequence[Any]
MANY: Final = 32


def is_postgresql() -> bool:
    return connection.vendor == "postgresql"


def run(statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run one statement of ours on Django's connection and return its rows.

    On PostgreSQL it is prepared on the server and its parameters are bound there; both save more than
    half of the planning of the long statements this project has. It takes part in the current
    transaction as any other statement.
    """
    if not is_postgresql():
        with connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
    connection.ensure_connection()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as raw:
        raw.execute(statement, parameters, prepare=True)
        return raw.fetchall() if raw.description else []


def among(field: str, values: list[Any], model: type[models.Model]) -> Q:
    """`field IN values` with one parameter whatever their number: an array, or on SQLite a JSON text."""
    if is_postgresql():
        kind = _type(model, field)
        chosen = RawSQL(f"SELECT unnest(%s::{kind}[])", [_array(kind, values)])  # noqa: S611
    else:
        chosen = RawSQL("SELECT value FROM json_each(%s)", [json.dumps([_sqlite(v) for v in values])])
    return Q(**{f"{field}__in": chosen})


@lru_cache(maxsize=512)
def _field(model: type[models.Model], name: str) -> models.Field[Any, Any]:
    field = model._meta.get_field(name)
    assert isinstance(field, models.Field)
    return field


@lru_cache(maxsize=512)
def _type(model: type[models.Model], name: str) -> str:
    field = _field(model, name)
    target = getattr(field, "target_field", field) if field.is_relation else field
    kind = target.rel_db_type(connection) if isinstance(target, models.AutoField) else target.db_type(connection)
    return (kind or "text").split("(")[0]


def from_database(model: type[models.Model], row: Sequence[Any]) -> list[Any]:
    """The values of a row of `model`'s own columns, as its fields have them (SQLite keeps no types)."""
    if is_postgresql():
        # Django has its connections give JSON as text.
        fields = model._meta.concrete_fields
        return [
            json.loads(value) if isinstance(field, models.JSONField) and isinstance(value, str) else value
            for field, value in zip(fields, row, strict=True)
        ]
    converted = []
    for field, value in zip(model._meta.concrete_fields, row, strict=True):
        for convert in field.get_db_converters(connection) + connection.ops.get_db_converters(field.get_col("")):
            value = convert(value, field, connection)
        converted.append(value)
    return converted


def in_one() -> str:
    """The words of a statement of ours for "is among", with one parameter: what as_one makes of the values."""
    return "= ANY(%s)" if is_postgresql() else "IN (SELECT value FROM json_each(%s))"


def as_one(values: Sequence[Any]) -> Any:
    """Values that the database has a word for, in one parameter."""
    return list(values) if is_postgresql() else json.dumps(list(values))


def moment(at: datetime.datetime) -> Any:
    """A parameter for a statement of ours, as the database compares it: SQLite keeps UTC without saying so."""
    return connection.ops.adapt_datetimefield_value(at)


def aware(at: datetime.datetime | str) -> datetime.datetime:
    """A moment out of a statement of ours: SQLite keeps UTC without saying so, and gives an aggregate as text."""
    moment = datetime.datetime.fromisoformat(at) if isinstance(at, str) else at
    return moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment


def _sqlite(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(" ")
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return value.hex
    return value


def _prepare(model: type[models.Model], name: str, values: Iterable[Any]) -> list[Any]:
    if isinstance(_field(model, name), models.JSONField):
        return [None if v is None else json.dumps(v, separators=(",", ":"), ensure_ascii=False) for v in values]
    return list(values) if is_postgresql() else [_sqlite(v) for v in values]


_WHOLE: Final = frozenset({"bigint", "integer", "smallint"})
_MOMENT: Final = "timestamp with time zone"


def _array(kind: str, values: list[Any]) -> Any:
    """Values of a type of PostgreSQL as one parameter: written here where none needs quotes, else left to psycopg.

    psycopg looks at each value of a list, and so takes several times as long.
    """
    types = set(map(type, values))
    if kind in _WHOLE and types <= {int}:
        return f"{{{','.join(map(str, values))}}}"
    if kind == _MOMENT and types <= {datetime.datetime}:
        return f"{{{','.join([value.isoformat() for value in values])}}}"
    return values


def _columns(model: type[models.Model], fields: Sequence[str]) -> list[str]:
    return [str(_field(model, name).column) for name in fields]


def insert(model: type[models.Model], fields: Sequence[str], rows: Sequence[Row], *, new_only: bool = False) -> None:
    """Insert `rows`, each in the order of `fields`. `new_only`: leave out those that a constraint says are there."""
    _insert(model, fields, rows, " ON CONFLICT DO NOTHING" if new_only else "")


def upsert(
    model: type[models.Model],
    fields: Sequence[str],
    rows: Sequence[Row],
    *,
    key: Sequence[str],
    add: Sequence[str] = (),
) -> None:
    """Insert `rows`; of one whose unique `key` is there, the other fields are set, and `add` is added to what is there.

    No two rows have the same key. Give them in its order: who writes some of the same at once waits in turn.
    """
    table = model._meta.db_table
    changes = [
        f'"{column}" = {table}."{column}" + excluded."{column}"' if name in add else f'"{column}" = excluded."{column}"'
        for name, column in zip(fields, _columns(model, fields), strict=True)
        if name not in key
    ]
    conflict = f" ON CONFLICT ({', '.join(_columns(model, key))}) DO UPDATE SET {', '.join(changes)}"
    _insert(model, fields, rows, conflict)


def _is_same(values: Sequence[Any]) -> bool:
    """Is a column the same in many rows? Once is sent faster than an array of it."""
    return len(values) >= MANY and all(value == values[0] for value in values)


def _insert(model: type[models.Model], fields: Sequence[str], rows: Sequence[Row], conflict: str) -> None:
    if not rows:
        return
    table, columns = model._meta.db_table, ", ".join(f'"{name}"' for name in _columns(model, fields))
    data = [_prepare(model, name, values) for name, values in zip(fields, zip(*rows, strict=True), strict=True)]
    if is_postgresql():
        same = [_is_same(values) for values in data]
        same[-1] = same[-1] and not all(same)  # something has to tell how many rows there are
        types = [_type(model, name) for name in fields]
        chosen = ", ".join(
            f"%s::{kind}" if once else f"c{n}" for n, (kind, once) in enumerate(zip(types, same, strict=True))
        )
        arrays = ", ".join(f"%s::{kind}[]" for kind, once in zip(types, same, strict=True) if not once)
        names = ", ".join(f"c{n}" for n, once in enumerate(same) if not once)
        parameters = [values[0] for values, once in zip(data, same, strict=True) if once]
        parameters += [_array(kind, values) for kind, values, once in zip(types, data, same, strict=True) if not once]
        source = f"SELECT {chosen} FROM unnest({arrays}) AS v ({names})"  # noqa: S608
        run(f"INSERT INTO {table} ({columns}) {source}{conflict}", parameters)
    else:
        marks = ", ".join(["%s"] * len(fields))
        with connection.cursor() as cursor:
            statement = f"INSERT INTO {table} ({columns}) VALUES ({marks}){conflict}"  # noqa: S608
            cursor.executemany(statement, list(zip(*data, strict=True)))


def update_where(
    model: type[models.Model],
    fields: Sequence[str],
    rows: Sequence[Row],
    statuses: Sequence[str],
    before: Sequence[str],
) -> list[tuple[Any, ...]]:
    """Set `fields` of the rows named by id, but only of those whose status is one of `statuses`.

    Each row is (id, value, value, …). Returns, for each row that was set, its id and how the columns
    `before` were before. Caller holds a transaction; the rows are locked in the order of their ids.
    """
    table, columns = model._meta.db_table, _columns(model, fields)
    ids, *rest = zip(*rows, strict=True)
    data = [_prepare(model, name, values) for name, values in zip(fields, rest, strict=True)]
    old = ", ".join(["id", *_columns(model, before)])
    if is_postgresql():
        types = [_type(model, name) for name in fields]
        arrays = ", ".join(["%s::bigint[]", *(f"%s::{kind}[]" for kind in types)])
        assignments = ", ".join(f"{column} = v.c{n}" for n, column in enumerate(columns))
        names = ", ".join(["id", *(f"c{n}" for n in range(len(columns)))])
        chosen = _array("bigint", list(ids))
        found = f"SELECT {old} FROM {table} WHERE id = ANY(%s::bigint[]) AND status = ANY(%s) ORDER BY id FOR UPDATE"  # noqa: S608
        return run(
            f"WITH old AS ({found}), v ({names}) AS (SELECT * FROM unnest({arrays})), done AS ("  # noqa: S608
            f"UPDATE {table} t SET {assignments} FROM v JOIN old ON old.id = v.id WHERE t.id = v.id)"
            f" SELECT {old} FROM old",
            [chosen, list(statuses), chosen, *map(_array, types, data)],
        )
    among = "IN (SELECT value FROM json_each(%s))"
    found = f"SELECT {old} FROM {table} WHERE id {among} AND status {among} ORDER BY id"  # noqa: S608
    matching = run(found, [json.dumps(ids), json.dumps(statuses)])
    there = {row[0] for row in matching}
    assignments = ", ".join(f"{column} = %s" for column in columns)
    parameters = [row for row in zip(*data, ids, strict=True) if row[-1] in there]
    with connection.cursor() as cursor:
        cursor.executemany(f"UPDATE {table} SET {assignments} WHERE id = %s", parameters)  # noqa: S608
    return matching
