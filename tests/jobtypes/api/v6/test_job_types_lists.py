"""The lists of job types: names, versions, revisions."""

from __future__ import annotations

from typing import Any

import pytest

from jobtypes import services
from jobtypes.api.v6.views.job_types import NAME_ORDERS, ORDERS
from jobtypes.models import JobType
from tests.factories import Person, make_job_type, manifest_of
from tests.jobs.api.v6.answers import assert_error, good, listed, walk
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
NAMES = "/v6/job-type-names/"
PATH = "/v6/job-types/"
VERSIONS = "/v6/job-types/count-words/"
REVISIONS = "/v6/job-types/count-words/1.0.0/revisions/"
LISTS = (NAMES, PATH, VERSIONS, REVISIONS)


def make(
    name: str = "count-words", version: str = "1.0.0", *, tags: Any = ("text",), title: str = "T", **facts: Any
) -> JobType:
    manifest = manifest_of(outputs={})
    manifest["job"] |= {"tags": list(tags), "title": title}
    return make_job_type(name, version, manifest=manifest, configuration=None, **facts)


def names(person: Person, **parameters: Any) -> list[str]:
    return [row["name"] for row in good(person.get(NAMES, **parameters))["results"]]


def walked(person: Person, path: str, key: str, **parameters: Any) -> list[Any]:
    """This member of every row, by following `next`."""
    page = good(person.get(path, **parameters))
    found = [row[key] for row in page["results"]]
    while page["next"]:
        page = good(person.client.get(page["next"]))
        found += [row[key] for row in page["results"]]
    return found


class TestNames:
    def test_a_name_is_told_by_its_newest_version(self, people: People) -> None:
        """By SemVer: neither the text nor the time of registration decides."""
        for version, title in (("1.10.0", "Newest"), ("1.2.0", "Old"), ("1.10.0-rc.1", "Nearly"), ("0.9.0", "First")):
            make(version=version, title=title, icon_code=title[:4])
        [row] = good(people.owner.get(NAMES))["results"]
        assert row == {
            "name": "count-words", "title": "Newest", "description": "Counts the words of a text", "icon_code": "Newe",
            "is_published": True, "is_active": True, "is_paused": False, "is_system": False, "unmet_resources": None,
            "versions": ["1.10.0", "1.10.0-rc.1", "1.2.0", "0.9.0"], "latest_version": "1.10.0",
        }  # fmt: skip

    def test_any_version_makes_its_name_qualify_and_all_are_shown(self, people: People) -> None:
        old = make(version="1.0.0", tags=["rare"], is_active=False)
        make(version="1.10.0")
        make("other")
        for wish in ({"is_active": "false"}, {"keyword": "RAR"}, {"id": old.pk}):
            [row] = good(people.owner.get(NAMES, **wish))["results"]
            assert (row["name"], row["latest_version"]) == ("count-words", "1.10.0")
            assert row["versions"] == ["1.10.0", "1.0.0"]
            assert row["is_active"]
        assert names(people.owner, is_active="false", keyword="text") == []
        assert names(people.owner, is_active="true") == ["count-words", "other"]

    def test_builds_of_one_version_are_one_name(self, people: People) -> None:
        make(version="1.0.0+a")
        make(version="1.0.0+b")
        [row] = good(people.owner.get(NAMES))["results"]
        assert (row["latest_version"], row["versions"]) == ("1.0.0+b", ["1.0.0+b", "1.0.0+a"])

    def test_what_is_not_published_counts_for_staff_only(self, people: People) -> None:
        make(version="1.0.0")
        make(version="2.0.0", is_published=False)
        make("hidden", is_published=False)
        assert names(people.monitor) == ["count-words", "hidden"]
        [row] = good(people.owner.get(NAMES))["results"]
        assert (row["latest_version"], row["versions"]) == ("1.0.0", ["1.0.0"])
        assert names(people.owner, keyword="hidden") == []

    @pytest.mark.parametrize("sign", ["", "-"])
    @pytest.mark.parametrize("field", [*NAME_ORDERS, "latest_version"])
    def test_every_order_is_walked_to_its_end(self, people: People, field: str, sign: str) -> None:
        for number in range(5):
            make(f"name-{number}", f"1.{number}.0", title=f"T{number % 2}", icon_code=("a", None)[number % 2])
        for size in (1, 2, 5):
            assert sorted(walked(people.owner, NAMES, "name", order=f"{sign}{field}", page_size=size)) == [
                f"name-{number}" for number in range(5)
            ]

    def test_it_costs_the_same_however_many(self, people: People) -> None:
        make()
        _ = people.owner
        with within_budget("GET /v6/job-type-names/"):
            good(people.owner.get(NAMES))
        with counted() as few:
            good(people.owner.get(NAMES))
        for name in range(5):
            for version in range(3):
                make(f"name-{name}", f"1.{version}.0")
        with counted() as many:
            assert good(people.owner.get(NAMES))["count"] == 6
        assert len(many) == len(few)


class TestList:
    def test_each_version_is_a_row_by_name_and_version(self, people: People) -> None:
        rows = [make("b"), make("A", "1.10.0"), make("A", "1.2.0")]
        found = good(people.owner.get(PATH))
        assert [(row["name"], row["version"]) for row in found["results"]] == [
            ("A", "1.2.0"), ("A", "1.10.0"), ("b", "1.0.0"),
        ]  # fmt: skip
        assert (found["count"], found["next"], found["previous"]) == (3, None, None)
        row = found["results"][2]
        assert row.keys() == {
            *("id", "name", "version", "title", "description", "icon_code", "is_published", "is_active", "is_paused"),
            *("is_system", "unmet_resources", "max_scheduled", "max_tries", "revision_num", "docker_image"),
            *("created", "deprecated", "paused", "last_modified"),
        }
        assert row["id"] == rows[0].pk

    def test_filters_are_about_the_row_itself(self, people: People) -> None:
        one, two = make("alpha", tags=["geo", "Geology"]), make("beta", "1.0.0", is_active=False, tags=["text"])
        three = make("beta", "2.0.0", tags=[])
        JobType.objects.filter(pk=three.pk).update(is_system=True)
        for wish, found in (
            ({"keyword": "geo"}, [one]), ({"keyword": "ALPH"}, [one]), ({"keyword": "eta"}, [two, three]),
            ({"keyword": ["geo", "text"]}, [one, two]), ({"keyword": "T"}, [two, three]), ({"keyword": "%"}, []),
            ({"keyword": ""}, [one, two, three]), ({"is_active": "F"}, [two]), ({"is_active": "1"}, [one, three]),
            ({"is_system": "TRUE"}, [three]), ({"is_system": "0", "keyword": "beta"}, [two]),
            ({"id": [one.pk, three.pk]}, [one, three]), ({"id": three.pk, "is_active": "f"}, []), ({"id": 10**17}, []),
        ):  # fmt: skip
            answer = good(people.owner.get(PATH, **wish))
            assert [row["id"] for row in answer["results"]] == [row.pk for row in found], wish
            assert answer["count"] == len(found)

    def test_orders_may_be_several(self, people: People) -> None:
        ids = [make(name, version).pk for name, version in (("a", "1.0.0"), ("a", "2.0.0"), ("b", "1.0.0"))]
        assert listed(people.owner, PATH, order=["-name", "version"]) == [ids[2], ids[0], ids[1]]
        assert listed(people.owner, PATH, order=["version", "-name"]) == [ids[2], ids[0], ids[1]]
        assert listed(people.owner, PATH, order="-id") == ids[::-1]

    @pytest.mark.parametrize("order", [f"{sign}{name}" for name in ORDERS for sign in ("", "-")])
    def test_every_order_is_walked_to_its_end_and_back(self, people: People, order: str) -> None:
        rows = [
            make(f"name-{number % 3}", f"1.{number}.0", is_active=number != 1, is_paused=number == 2,
                 max_scheduled=number % 2, icon_code=("a", None)[number % 2])
            for number in range(5)
        ]  # fmt: skip
        forth, last = walk(people.owner, PATH, order=order, page_size=2)
        assert sorted(forth) == [row.pk for row in rows]
        assert walk(people.owner, last, "previous")[0] == forth

    def test_a_page_costs_the_same_however_many(self, people: People) -> None:
        make()
        good(people.owner.get(PATH))
        with counted() as few, within_budget("GET /v6/job-types/"):
            good(people.owner.get(PATH))
        for number in range(5):
            make(version=f"2.0.{number}")
        with counted() as many:
            good(people.owner.get(PATH))
        assert len(many) == len(few)
        assert not any("manifest" in text.split("FROM")[0] for text in many.texts)


class TestVersions:
    def test_the_newest_comes_first(self, people: People) -> None:
        for version in ("1.10.0", "1.9.0", "2.0.0-rc.1", "2.0.0"):
            make(version=version, is_active=version != "1.9.0")
        make("count-words-2")
        versions = [row["version"] for row in good(people.owner.get(VERSIONS))["results"]]
        assert versions == ["2.0.0", "2.0.0-rc.1", "1.10.0", "1.9.0"]
        [old] = good(people.owner.get(VERSIONS, is_active="false"))["results"]
        assert (old["version"], old["unmet_resources"]) == ("1.9.0", None)

    def test_of_a_name_that_there_is_not_there_are_none(self, people: People) -> None:
        empty: dict[str, Any] = {"count": 0, "next": None, "previous": None, "results": []}
        make("hidden", is_published=False)
        for name in ("nowhere", "hidden", "%D7%90", "under_score"):
            assert good(people.owner.get(f"{PATH}{name}/")) == empty
        assert good(people.monitor.get(f"{PATH}hidden/"))["count"] == 1

    def test_it_costs_a_bounded_number_of_statements(self, people: People) -> None:
        make()
        _ = people.owner
        with within_budget("GET /v6/job-types/{name}/"):
            good(people.owner.get(VERSIONS))


class TestRevisions:
    def test_they_are_what_the_job_type_was_told_by_what_it_is(self, people: People) -> None:
        row = make(title="Old")
        services.edit_job_type(row, actor=None, docker_image="count:2", is_paused=True)
        now = manifest_of(outputs={})
        now["job"]["title"] = "New"
        services.edit_job_type(row, actor=None, manifest=now)
        found = good(people.owner.get(REVISIONS))
        assert [(each["revision_num"], each["docker_image"]) for each in found["results"]] == [
            (3, "count:2"), (2, "count:2"), (1, "count:1"),
        ]  # fmt: skip
        assert {each["job_type"]["title"] for each in found["results"]} == {"New"}
        assert found["results"][0]["job_type"].keys() == {
            *("id", "name", "version", "title", "description", "icon_code", "is_published", "is_active"),
            *("is_paused", "is_system", "unmet_resources"),
        }
        first = good(people.owner.get(f"{REVISIONS}1/"))
        assert first == {**found["results"][2], "manifest": first["manifest"]}
        assert (first["manifest"]["job"]["title"], first["job_type"]["is_paused"]) == ("Old", True)
        assert listed(people.owner, REVISIONS, order="revision_num") == [each["id"] for each in found["results"]][::-1]

    @pytest.mark.parametrize("number", ["0", "2", "9" * 18, "9" * 40, "x", "-1", "%D9%A1"])
    def test_a_number_that_there_is_not_is_404(self, people: People, number: str) -> None:
        make()
        assert_error(people.owner.get(f"{REVISIONS}{number}/"), 404, "NOT_FOUND")

    def test_they_cost_a_bounded_number_of_statements(self, people: People) -> None:
        make()
        _ = people.owner
        with within_budget("GET /v6/job-types/{name}/{version}/revisions/"):
            good(people.owner.get(REVISIONS))
        with within_budget("GET /v6/job-types/{name}/{version}/revisions/{revision_num}/"):
            good(people.owner.get(f"{REVISIONS}1/"))


class TestAll:
    @pytest.mark.parametrize(
        ("who", "status"),
        [("admin", 200), ("operator", 200), ("monitor", 200), ("owner", 200), ("colleague", 200), ("stranger", 200),
         ("disabled", 401), ("anonymous", 401)],
    )  # fmt: skip
    def test_who_may_read(self, people: People, who: str, status: int) -> None:
        make()
        for path in (*LISTS, f"{REVISIONS}1/"):
            for form in (path, path.rstrip("/")):
                response = people[who].get(form)
                good(response) if status == 200 else assert_error(response, status)

    @pytest.mark.parametrize("path", LISTS)
    def test_pages_are_scales(self, people: People, path: str) -> None:
        row = make()
        services.edit_job_type(row, actor=None, docker_image="count:2")
        make(version="2.0.0")
        make("other")
        for page in ("0", "-1", "x", "99"):
            body = people.owner.get(path, page=page)
            assert_error(body, 404, "NOT_FOUND")
            assert body.json()["detail"] == "Invalid page."
        for size, rows in (("1", 1), ("0", 2), ("-1", 2), ("x", 2), ("", 2), ("5000", 2)):
            found = good(people.owner.get(path, page_size=size))
            assert len(found["results"]) == (rows if size == "1" else found["count"]) >= 1
        assert good(people.owner.get(path, page="last", page_size=1))["next"] is None

    @pytest.mark.parametrize("path", LISTS)
    @pytest.mark.parametrize(
        ("name", "value"), [("order", "x"), ("order", "manifest"), ("order", "--id"), ("nonsense", "1"), ("after", "x")]
    )
    def test_what_is_unknown_is_refused_by_name(self, people: People, path: str, name: str, value: str) -> None:
        make()
        assert_error(people.owner.get(path, **{name: value}), 400, "INVALID_REQUEST", field=name)

    @pytest.mark.parametrize("path", LISTS[:3])
    def test_a_flag_that_is_none_is_refused(self, people: People, path: str) -> None:
        assert_error(people.owner.get(path, is_active="yes"), 400, field="is_active")

    @pytest.mark.parametrize("path", LISTS[:2])
    @pytest.mark.parametrize(
        ("name", "value"), [("id", "x"), ("id", "-1"), ("is_system", "2"), ("keyword", "a\0"), ("keyword", "x" * 1025)]
    )
    def test_a_bad_filter_is_refused_by_name(self, people: People, path: str, name: str, value: str) -> None:
        assert_error(people.owner.get(path, **{name: value}), 400, field=name)

    @pytest.mark.parametrize("path", LISTS)
    def test_links_keep_what_was_asked(self, people: People, path: str) -> None:
        row = make(version="1.0.0")
        services.edit_job_type(row, actor=None, docker_image="count:2")
        make(version="2.0.0")
        make("count-words-more")
        wish = {} if path == REVISIONS else {"is_active": "true"}
        first = good(people.owner.get(path, page_size=1, **wish))
        assert first["next"].startswith(f"http://testserver{path}?")
        assert all(f"{name}={value}" in first["next"] for name, value in wish.items())
        second = good(people.owner.client.get(first["next"]))
        assert second["results"] != first["results"]
        assert good(people.owner.client.get(second["previous"]))["results"] == first["results"]
