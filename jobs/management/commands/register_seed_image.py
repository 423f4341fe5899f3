"""Register the Seed job type that an image carries in its label."""

from __future__ import annotations

import json
from argparse import FileType
from typing import Any, Final

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from clusters.providers.errors import ProviderError
from clusters.queries import image_label
from controlplane.core.errors import ControlPlaneError
from jobtypes.services import create_job_type

# https://ngageoint.github.io/seed/seed.html: where images carry their manifest.
LABEL: Final = "com.ngageoint.seed.manifest"


class Command(BaseCommand):
    help = (
        f"Register the job type whose manifest stands in an image's label {LABEL}, or edit it when its name and "
        "version are there. Needs a container engine; see LOCAL_DOCKER_HOST and LOCAL_DOCKER_PULL."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("image")
        parser.add_argument("--configuration", type=FileType("r"), help="a file of the job type's configuration, JSON")
        parser.add_argument("--publish", action="store_true", help="let customers see it")

    def handle(self, *args: Any, **options: Any) -> None:
        image: str = options["image"]
        try:
            text = image_label(image, LABEL)
        except ProviderError as error:
            raise CommandError(f"The image {image} cannot be read: {error}") from error
        if text is None:
            raise CommandError(f"The image {image} has no label {LABEL}.")
        wish: dict[str, Any] = {"manifest": _json(text, f"the label of {image}")}
        if options["configuration"] is not None:
            wish["configuration"] = _json(options["configuration"].read(), "the configuration")
        if options["publish"]:
            wish["is_published"] = True
        try:
            saved = create_job_type(actor=None, docker_image=image, **wish)
        except ControlPlaneError as error:
            raise CommandError(f"{error.field or 'the job type'}: {error.message}") from error
        verb = "Registered" if saved.created else "Edited"
        name = f"{saved.job_type.name} {saved.job_type.version}"
        self.stdout.write(f"{verb} {name}, revision {saved.job_type.revision_num}.")


def _json(text: str, where: str) -> Any:
    if len(text) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        raise CommandError(f"There is too much in {where}.")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CommandError(f"What stands in {where} is not JSON.") from error
