"""Where recordings of clusters go: kept, and tried at AWS."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from django.db import transaction
from django.utils import timezone

from accounts.models import Feature, User
from clusters.errors import RecordingsNotAllowed, RecordingsUntried, RecordingsUnusable
from clusters.models import Cluster, RecordingSettings
from clusters.providers.errors import ProviderError
from clusters.services.clusters import facts_of_recordings, tell
from clusters.services.containers import lock_cluster
from controlplane.core.unstorable import UNSTORABLE

# Characters.
ROLE_ARN, BUCKET_REGION, BUCKET_NAME, BASE_PATH = 255, 50, 63, 255
FIELDS: Final = ("role_arn", "bucket_region", "bucket_name", "base_path")
_ROLE_ARN: Final = re.compile(r"arn:aws(?:-cn|-us-gov)?:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,200}")
_REGION: Final = re.compile(r"[a-z]{2}(?:-[a-z]+){1,3}-[0-9]{1,2}")
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET: Final = re.compile(r"(?!xn--|sthree-)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def trimmed(base_path: str) -> str:
    """A path without its outer slashes."""
    return base_path.strip("/")


def demand_recordings(user: User) -> None:
    """Raises RecordingsNotAllowed unless staff gave `user` the feature."""
    if Feature.RECORDINGS not in user.allowed_features:
        raise RecordingsNotAllowed


def set_recording_settings(
    *, cluster: Cluster, actor: User, role_arn: str, bucket_region: str, bucket_name: str, base_path: str = "/"
) -> RecordingSettings:
    """Have the recordings of `cluster` go there from now on. Whether we may write there is not tried.

    Raises RecordingsNotAllowed, RecordingsUnusable, naming the field, and ClusterNotFound.
    """
    demand_recordings(cluster.owner)
    given = {"role_arn": role_arn, "bucket_region": bucket_region, "bucket_name": bucket_name, "base_path": base_path}
    _check(**given)
    with transaction.atomic():
        locked = lock_cluster(cluster)
        before = RecordingSettings.objects.filter(cluster=locked).first()
        if before is not None and all(getattr(before, name) == value for name, value in given.items()):
            return before
        values = {**given, "updated_at": timezone.now()}
        row, _ = RecordingSettings.objects.update_or_create(cluster=locked, defaults=values)
        after = {"name": locked.name, "fields": ["recording_settings"], "recording_settings": facts_of_recordings(row)}
        tell("cluster.changed", locked, actor, after, before={"recording_settings": facts_of_recordings(before)})
    return row


def try_recording_settings(
    *, user: User, role_arn: str, bucket_region: str, bucket_name: str, base_path: str = "/"
) -> None:
    """Take the role by the user's uuid and write an empty object into the bucket; nothing is kept here.

    Call it outside transactions. Raises RecordingsNotAllowed; RecordingsUnusable, naming the field that is at fault;
    RecordingsUntried when AWS cannot be asked.
    """
    demand_recordings(user)
    _check(role_arn, bucket_region, bucket_name, base_path)
    # The SDK takes a second and tens of MiB: only where it is used.
    from clusters.providers.aws.recordings import Bucket, Unusable, try_bucket

    bucket = Bucket(role_arn, str(user.uuid), bucket_region, bucket_name, trimmed(base_path))
    try:
        try_bucket(bucket)
    except Unusable as error:
        raise RecordingsUnusable(error.words, field=error.field) from error
    except ProviderError as error:
        raise RecordingsUntried from error


def _check(role_arn: str, bucket_region: str, bucket_name: str, base_path: str) -> None:
    """Raises RecordingsUnusable, naming the field."""
    if len(role_arn) > ROLE_ARN or not _ROLE_ARN.fullmatch(role_arn):
        words = "This is the ARN of a role, such as arn:aws:iam::123456789012:role/recordings."
        raise RecordingsUnusable(words, field="role_arn")
    if len(bucket_region) > BUCKET_REGION or not _REGION.fullmatch(bucket_region):
        raise RecordingsUnusable("This is a region of AWS, such as eu-central-1.", field="bucket_region")
    if not _BUCKET.fullmatch(bucket_name) or _is_address(bucket_name):
        words = "A bucket's name has 3 to 63 lower-case letters, digits, dots and hyphens."
        raise RecordingsUnusable(words, field="bucket_name")
    if len(base_path) > BASE_PATH or UNSTORABLE.search(base_path):
        raise RecordingsUnusable(f"A path has up to {BASE_PATH} characters, without NUL.", field="base_path")


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True
