"""Images: had, fetched, and read for their labels."""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from typing import Final

from clusters.providers.errors import NotFound, Refused
from clusters.providers.local.docker.engine import Engine

PULLS: Final = ("missing", "never", "always")


class Images:
    """The images of an engine, under one of the rules PULLS."""

    def __init__(self, engine: Engine, pull: str) -> None:
        if pull not in PULLS:
            raise ValueError(f"no such pull rule: {pull}")
        self._engine = engine
        self._pull = pull
        self._pulling: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    def check(self, image: str) -> None:
        """Raise Refused when `image` can never be had here, and ProviderError when the engine does not answer."""
        if not image:
            raise Refused("no image is named")
        try:
            self._engine.image(image)
        except NotFound as error:
            if self._pull == "never":
                raise Refused(str(error)) from error

    def ensure(self, image: str) -> None:
        """Have `image`, fetched if the rule says so. Raises Refused with the engine's words."""
        with self._pulling[image]:  # those who want the same wait for it, and find it there
            if self._pull != "always":
                with contextlib.suppress(NotFound):
                    self._engine.image(image)
                    return
            if self._pull == "never":
                raise Refused(f"no such image here: {image}")
            try:
                self._engine.pull(image)
            except NotFound as error:
                raise Refused(str(error)) from error


def label_of(base_url: str, image: str, label: str, pull: str = "missing") -> str | None:
    """The value of an image's label, None when it has none.

    The image is fetched as `pull` says. Raises Refused when it cannot be had, ProviderError when the
    engine does not answer.
    """
    with contextlib.closing(Engine(base_url)) as engine:
        Images(engine, pull).ensure(image)
        labels = (engine.image(image).get("Config") or {}).get("Labels") or {}
        value = labels.get(label)
        return None if value is None else str(value)
