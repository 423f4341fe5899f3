"""Feedback on its way to Slack: a real receiver, which is away at times."""

from __future__ import annotations

import http.server
import json
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from accounts import services, tasks
from accounts.errors import TooOften
from accounts.models import Feedback, User
from accounts.services.feedback import NotPosted, words_of
from tests.factories import make_customer_user

pytestmark = pytest.mark.django_db
SECRET: Final = "T0001-B0002-very-secret"


class Slack:
    """Takes what is posted to it, and answers `status`."""

    def __init__(self) -> None:
        self.status = 200
        self.posted: list[dict[str, Any]] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.status == 200:
                    outer.posted.append(said)
                self.send_response(outer.status)
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/{SECRET}"

    @property
    def texts(self) -> list[str]:
        return [each["text"] for each in self.posted]


@pytest.fixture
def slack(settings: Any) -> Iterator[Slack]:
    found = Slack()
    settings.SLACK_WEBHOOK_URL, settings.CALLABLE_NETWORKS = found.url, ["127.0.0.0/8"]
    yield found
    found.server.shutdown()
    found.server.server_close()


@pytest.fixture
def ada() -> User:
    return services.update_user(user=make_customer_user("ada").user, actor=None, email="ada@example.com")


def say(user: User, message: str = "It hums.") -> Feedback:
    return services.give_feedback(user=user, feedback_type="bug", message=message)


def test_feedback_is_kept_and_posted_once(slack: Slack, ada: User) -> None:
    made = say(ada)
    ada.refresh_from_db()
    assert ada.last_feedback_at == made.created_at
    assert (made.customer, made.message) == (ada.customer, "It hums.")
    task = OrmQ.objects.latest("pk").task
    assert (task["func"], task["kwargs"]) == ("accounts.tasks.post_feedback", {"feedback_id": made.pk})
    for _ in range(2):
        tasks.post_feedback(made.pk)
        tasks.post_left_behind()
    assert slack.texts == ["Feedback (bug) from ada@example.com:\nIt hums."]
    made.refresh_from_db()
    assert made.posted_at is not None


@pytest.mark.parametrize("status", [302, 400, 404, 429, 500])
def test_an_outage_fails_no_call_and_what_is_left_is_posted_when_it_is_over(
    status: int, slack: Slack, ada: User, caplog: pytest.LogCaptureFixture
) -> None:
    slack.status = status
    first, second = say(ada, "one"), say(ada, "two")
    with pytest.raises(NotPosted, match=str(status)) as refused:
        tasks.post_feedback(first.pk)
    with caplog.at_level(logging.DEBUG):
        tasks.post_left_behind()
    assert SECRET not in caplog.text + str(refused.value)
    assert slack.posted == []
    slack.status = 200
    tasks.post_left_behind()
    tasks.post_left_behind()
    assert [text.split("\n")[1] for text in slack.texts] == ["one", "two"]
    second.refresh_from_db()
    assert second.posted_at is not None


def test_a_receiver_that_is_gone_is_an_outage_too(slack: Slack, ada: User) -> None:
    slack.server.shutdown()
    slack.server.server_close()
    made = say(ada)
    with pytest.raises(NotPosted) as refused:
        tasks.post_feedback(made.pk)
    assert SECRET not in str(refused.value)
    assert Feedback.objects.filter(posted_at=None, held_until=None).exists()


def test_what_somebody_is_posting_nobody_else_posts_until_they_are_given_up(slack: Slack, ada: User) -> None:
    made = say(ada)
    Feedback.objects.update(held_until=timezone.now() + timedelta(seconds=30))
    tasks.post_feedback(made.pk)
    tasks.post_left_behind()
    assert slack.posted == []
    Feedback.objects.update(held_until=timezone.now() - timedelta(seconds=1))
    tasks.post_left_behind()
    assert len(slack.posted) == 1


def test_what_is_older_than_a_day_is_left(slack: Slack, ada: User) -> None:
    say(ada)
    Feedback.objects.update(created_at=timezone.now() - timedelta(hours=25))
    tasks.post_left_behind()
    assert slack.posted == []


def test_nothing_is_posted_where_slack_is_off(ada: User) -> None:
    made = say(ada)
    assert not OrmQ.objects.exists()
    tasks.post_feedback(made.pk)
    tasks.post_left_behind()
    assert Feedback.objects.filter(posted_at=None, held_until=None).count() == 1


def test_an_address_that_may_not_be_called_is_not(slack: Slack, ada: User, settings: Any) -> None:
    settings.CALLABLE_NETWORKS = []
    with pytest.raises(NotPosted) as refused:
        tasks.post_feedback(say(ada).pk)
    assert SECRET not in str(refused.value)
    assert slack.posted == []


def test_nothing_that_is_said_is_a_mention_or_a_link(slack: Slack, ada: User) -> None:
    said = "<!channel> <@U123> <https://evil.example.com|click> & *bold*"
    tasks.post_feedback(say(ada, said).pk)
    [sent] = slack.posted
    assert "&lt;!channel&gt; &lt;@U123&gt; &lt;https://evil.example.com|click&gt; &amp; *bold*" in sent["text"]
    assert "<" not in sent["text"]
    assert (sent["mrkdwn"], sent["unfurl_links"]) == (False, False)


def test_who_has_no_address_is_named_and_no_message_is_no_line(ada: User) -> None:
    User.objects.update(email=None)
    made = Feedback.objects.select_related("user").get(pk=say(ada, "").pk)
    assert words_of(made) == "Feedback (bug) from ada"


def test_ten_an_hour_are_enough(ada: User) -> None:
    for _ in range(10):
        say(ada)
    with pytest.raises(TooOften) as refused:
        say(ada)
    assert refused.value.retry_after_seconds > 3000
    assert Feedback.objects.count() == 10
    say(make_customer_user("bob").user)
