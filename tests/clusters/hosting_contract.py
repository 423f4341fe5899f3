"""What holds for every place that keeps containers. Its tests subclass `HostingContract` and give a `hosting` fixture.

Containers run shell scripts of a few words: `echo`, `printenv NAME`, `sleep N` and `exit N`, with `;` between them.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from clusters.providers.errors import NotFound, NotYet, Refused
from clusters.providers.hosting import HealthCheck, Hosting, Port, Protocol, Service, ServiceObservation, ServicePhase
from tests.clusters.provider_contract import eventually, new_id

WAIT_SECONDS = 30.0


class HostingContract:
    """All of it."""

    IMAGE = "localhost/busybox:latest"
    NOWHERE = "localhost/no-such-image:1"  # named in what is said of a service that never starts
    UNKNOWN_HANDLE = ""  # well-formed, of nothing that was ever there
    ROLLS = True  # the old one serves until the new one is ready

    @pytest.fixture
    def hosting(self) -> Hosting:
        raise NotImplementedError

    def service(self, text: str = "echo ready; sleep 1000", **wishes: object) -> Service:
        fixed = {"image": self.IMAGE, "command": ("/bin/sh", "-c", text), "vcpus_milli": 250, "memory_mib": 512}
        return Service(new_id(), **{**fixed, "customer": "acme", **wishes})  # type: ignore[arg-type]

    def never_starting(self, service: Service) -> Service:
        """The same service with something in it that the place cannot start."""
        return replace(service, image=self.NOWHERE)

    def observe(self, hosting: Hosting, handle: str) -> ServiceObservation:
        (found,) = hosting.observe([handle])
        assert found.handle == handle
        return found

    def until(self, hosting: Hosting, handle: str, phase: ServicePhase, **members: object) -> ServiceObservation:
        def arrived() -> ServiceObservation | None:
            seen = self.observe(hosting, handle)
            is_it = seen.phase is phase and all(getattr(seen, name) == value for name, value in members.items())
            return seen if is_it else None

        seen = eventually(arrived, f"{handle} {phase} {members}", WAIT_SECONDS)
        assert isinstance(seen, ServiceObservation)
        return seen

    def running(self, hosting: Hosting, service: Service) -> tuple[str, ServiceObservation]:
        handle = hosting.provision(service)
        return handle, self.until(hosting, handle, ServicePhase.RUNNING)

    def line(self, hosting: Hosting, handle: str, run: str = "") -> str:
        """The first that it writes."""
        eventually(lambda: "\n" in hosting.logs(handle, run=run).text, f"a line of {handle}", WAIT_SECONDS)
        return hosting.logs(handle, run=run).text.splitlines()[0]

    # Running

    def test_runs_and_tells_where_and_since_when(self, hosting: Hosting) -> None:
        before = datetime.now(UTC) - timedelta(seconds=2)
        service = self.service(ports=[Port(5002), Port(3478, Protocol.UDP)])
        handle, seen = self.running(hosting, service)
        assert len(handle) <= 255
        assert seen.run
        assert seen.addresses
        assert all(address.host for address in seen.addresses)
        assert seen.started_at is not None
        assert before <= seen.started_at <= datetime.now(UTC) + timedelta(seconds=2)
        assert seen.started_at.utcoffset() == timedelta(0)
        assert seen.revision == seen.wanted == service.revision
        assert seen.is_healthy is None
        assert not seen.lacks_room
        assert self.line(hosting, handle) == "ready"

    def test_environment_is_what_was_given(self, hosting: Hosting) -> None:
        handle, _ = self.running(hosting, self.service("printenv A; sleep 1000", env={"A": "two words; $HOME 'é'"}))
        assert self.line(hosting, handle) == "two words; $HOME 'é'"

    def test_secrets_are_in_the_environment_and_shown_nowhere(self, hosting: Hosting) -> None:
        service = self.service("printenv TOKEN; sleep 1000", secrets={"TOKEN": "3f1c-a-long-one"})
        handle, seen = self.running(hosting, service)
        assert self.line(hosting, handle) == "3f1c-a-long-one"
        changed = replace(service, secrets={"TOKEN": "77aa-another"})
        assert changed.revision != service.revision
        hosting.reconfigure(handle, changed)
        seen = self.until(hosting, handle, ServicePhase.RUNNING, revision=changed.revision)
        assert self.line(hosting, handle, seen.run) == "77aa-another"
        for told in (repr(changed), repr(seen), hosting.explain(handle)):
            assert "77aa" not in told

    def test_many_are_observed_at_once(self, hosting: Hosting) -> None:
        handles = [hosting.provision(self.service()) for _ in range(12)]
        for handle in handles:
            self.until(hosting, handle, ServicePhase.RUNNING)
        found = hosting.observe([*handles, self.UNKNOWN_HANDLE, "nonsense"])
        assert sorted(seen.handle for seen in found) == sorted([*handles, self.UNKNOWN_HANDLE])
        runs = {seen.run for seen in found if seen.phase is ServicePhase.RUNNING}
        assert len(runs) == 12
        hosting.retire(handles)

    def test_one_that_ends_is_started_again(self, hosting: Hosting) -> None:
        handle, first = self.running(hosting, self.service("echo once; sleep 0.3; exit 3"))

        def restarted() -> bool:
            seen = self.observe(hosting, handle)
            return seen.phase is ServicePhase.RUNNING and seen.run != first.run

        eventually(restarted, "another run", WAIT_SECONDS)
        assert "exit code 3" in hosting.explain(handle)
        hosting.retire([handle])

    def test_health_is_told(self, hosting: Hosting) -> None:
        check = HealthCheck(("/bin/true",), interval_seconds=5)
        handle, _ = self.running(hosting, self.service(health_check=check))
        self.until(hosting, handle, ServicePhase.RUNNING, is_healthy=True)

    def test_what_never_starts_has_failed_and_says_why(self, hosting: Hosting) -> None:
        handle = hosting.provision(self.never_starting(self.service()))
        seen = self.until(hosting, handle, ServicePhase.FAILED)
        assert self.NOWHERE in seen.detail
        assert seen.wanted == ""
        assert self.NOWHERE in hosting.explain(handle)

    def test_nothing_to_do_is_fine(self, hosting: Hosting) -> None:
        assert hosting.observe([]) == []
        hosting.retire([])

    @pytest.mark.parametrize("name", ["", "media", "../etc", "{00000000-0000-4000-8000-000000000000}"])
    def test_a_name_is_a_uuid(self, hosting: Hosting, name: str) -> None:
        with pytest.raises(Refused):
            hosting.provision(replace(self.service(), name=name))

    # Once

    def test_twice_is_once(self, hosting: Hosting) -> None:
        service = self.service()
        handle, first = self.running(hosting, service)
        assert hosting.provision(service) == handle
        assert hosting.provision(replace(service, env={"A": "1"})) == handle, "it is left as it is"
        again = self.observe(hosting, handle)
        assert (again.run, again.wanted) == (first.run, service.revision)

    def test_the_same_wish_under_two_names_is_two(self, hosting: Hosting) -> None:
        service = self.service()
        handles = [hosting.provision(each) for each in (service, replace(service, name=new_id()))]
        runs = {self.until(hosting, handle, ServicePhase.RUNNING).run for handle in handles}
        assert len(runs) == 2

    # Changing

    def test_reconfigured_it_runs_the_new_one(self, hosting: Hosting) -> None:
        service = self.service("echo old; sleep 1000")
        handle, old = self.running(hosting, service)
        wish = replace(service, command=("/bin/sh", "-c", "echo new; sleep 1000"), memory_mib=1024)
        assert wish.revision != service.revision
        hosting.reconfigure(handle, wish)
        hosting.reconfigure(handle, wish)
        new = self.until(hosting, handle, ServicePhase.RUNNING, revision=wish.revision)
        assert new.run != old.run
        assert new.wanted == wish.revision
        assert self.line(hosting, handle, new.run) == "new"
        assert self.line(hosting, handle, old.run) == "old"

    def test_the_old_one_serves_until_the_new_one_is_ready_or_for_ever(self, hosting: Hosting) -> None:
        if not self.ROLLS:
            pytest.skip("the place cannot")
        service = self.service()
        handle, old = self.running(hosting, service)
        hosting.reconfigure(handle, self.never_starting(service))

        def is_settled() -> bool:
            seen = self.observe(hosting, handle)
            assert (seen.phase, seen.run) == (ServicePhase.RUNNING, old.run)
            return seen.wanted in ("", service.revision)

        eventually(is_settled, "the end of the new one", WAIT_SECONDS)
        assert self.NOWHERE in hosting.explain(handle)

    def test_what_has_failed_is_tried_anew(self, hosting: Hosting) -> None:
        good = self.service()
        bad = self.never_starting(good)
        handle = hosting.provision(bad)
        self.until(hosting, handle, ServicePhase.FAILED)
        hosting.reconfigure(handle, bad)
        self.until(hosting, handle, ServicePhase.FAILED)
        hosting.reconfigure(handle, good)
        self.until(hosting, handle, ServicePhase.RUNNING, revision=good.revision)

    def test_the_unknown_and_another_s_are_not_reconfigured(self, hosting: Hosting) -> None:
        service, handle = self.service(), hosting.provision(self.service())
        with pytest.raises(Refused):
            hosting.reconfigure(handle, service)
        with pytest.raises(NotFound):
            hosting.reconfigure("nonsense", service)
        gone = hosting.provision(service)
        hosting.retire([gone])
        with pytest.raises(NotFound):
            hosting.reconfigure(gone, service)

    # Going

    def test_retired_it_stops_and_is_gone(self, hosting: Hosting) -> None:
        handle, seen = self.running(hosting, self.service())
        hosting.retire([handle, self.UNKNOWN_HANDLE, "nonsense"])
        assert self.observe(hosting, handle).phase in (ServicePhase.STOPPING, ServicePhase.GONE)
        gone = self.until(hosting, handle, ServicePhase.GONE)
        assert not gone.addresses
        hosting.retire([handle])
        assert self.observe(hosting, handle).phase is ServicePhase.GONE
        assert hosting.logs(handle, run=seen.run).text == "ready\n", "its output is kept"

    def test_retired_before_it_ran_it_never_does(self, hosting: Hosting) -> None:
        handle = hosting.provision(self.service())
        hosting.retire([handle])
        self.until(hosting, handle, ServicePhase.GONE)

    def test_a_name_may_be_used_again_when_it_is_gone(self, hosting: Hosting) -> None:
        service = self.service()
        handle, first = self.running(hosting, service)
        hosting.retire([handle])

        def provisioned() -> bool:
            try:
                return hosting.provision(service) == handle
            except NotYet:
                return False

        eventually(provisioned, "the name to be free", WAIT_SECONDS)
        assert self.until(hosting, handle, ServicePhase.RUNNING).run != first.run

    def test_what_stands_is_found(self, hosting: Hosting) -> None:
        service = self.service()
        handle = hosting.provision(service)
        assert hosting.standing()[handle] == service.name
        hosting.retire([handle])
        assert handle not in hosting.standing()

    def test_the_unknown_is_gone(self, hosting: Hosting) -> None:
        assert self.observe(hosting, self.UNKNOWN_HANDLE).phase is ServicePhase.GONE
        hosting.retire([self.UNKNOWN_HANDLE, "nonsense"])
        assert hosting.explain(self.UNKNOWN_HANDLE) == ""

    # Output and the rest

    def test_output_is_read_on_page_by_page(self, hosting: Hosting) -> None:
        handle, seen = self.running(hosting, self.service("echo one äöü; echo two €𝄞; sleep 1000"))
        text, after = "", 0

        def read_on() -> bool:
            nonlocal text, after
            page = hosting.logs(handle, after, 5, run=seen.run)
            assert not page.ended
            assert len(page.text.encode()) <= 5
            text, after = text + page.text, page.next_after
            return text.endswith("𝄞\n")

        eventually(read_on, "both lines", WAIT_SECONDS)
        assert text == "one äöü\ntwo €𝄞\n"

    def test_output_of_a_run_that_is_over_ends(self, hosting: Hosting) -> None:
        handle, seen = self.running(hosting, self.service("echo last words; sleep 0.2; exit 0"))
        after = 0

        def has_ended() -> bool:
            nonlocal after
            page = hosting.logs(handle, after, run=seen.run)
            after = page.next_after
            return page.ended

        eventually(has_ended, "the end", WAIT_SECONDS)
        assert after == len("last words\n")
        hosting.retire([handle])

    def test_lines_are_told_the_newest_first(self, hosting: Hosting) -> None:
        handle, _ = self.running(hosting, self.service("echo one äöü; echo two; echo three; sleep 1000"))
        begin, end = (datetime.now(UTC) + timedelta(hours=hours) for hours in (-1, 1))

        def told() -> bool:
            return [line.text for line in hosting.newest_lines(handle, begin, end)] == ["three", "two", "one äöü"]

        eventually(told, "three lines", WAIT_SECONDS)
        times = [line.written_at for line in hosting.newest_lines(handle, begin, end)]
        assert times == [None] * 3 or all(at and begin < at < end for at in times)
        if times[0] is not None:
            assert list(hosting.newest_lines(handle, begin - timedelta(hours=1), begin)) == []
        hosting.retire([handle])
        self.until(hosting, handle, ServicePhase.GONE)
        assert told(), "its output is kept"

    def test_logs_of_the_unknown_are_not_found(self, hosting: Hosting) -> None:
        for handle in (self.UNKNOWN_HANDLE, "nonsense"):
            with pytest.raises(NotFound):
                hosting.logs(handle)

    def test_explains(self, hosting: Hosting) -> None:
        handle, _ = self.running(hosting, self.service())
        assert hosting.explain(handle)
        assert hosting.link(handle) == "" or hosting.link(handle).startswith("https://")
