"""The present state of every job that somebody follows in this process."""

from __future__ import annotations

from controlplane.core import feeding
from jobs.following.facts import JobFacts, look


class Follower(feeding.Follower):
    """Somebody who follows a job. `facts` are replaced, never changed; None: the job does not exist any more."""

    def __init__(self, job_id: int, facts: JobFacts) -> None:
        super().__init__()
        self.job_id = job_id
        self.facts: JobFacts | None = facts

    def tell(self, facts: JobFacts | None) -> bool:
        """Whether that is news."""
        if facts == self.facts:
            return False
        self.facts = facts
        self.wake()
        return True


class Feeder(feeding.Feeder[Follower]):
    """Those who follow jobs in this process."""

    def look(self, followers: list[Follower]) -> bool:
        found = look(sorted({follower.job_id for follower in followers}))
        news = [follower.tell(found.get(follower.job_id)) for follower in followers]
        return any(news)


present = Feeder()
