"""The meter begins where the log is now: what was done before there was one is not billed afterwards."""

from typing import Any

from django.db import migrations


def begin(apps: Any, schema_editor: Any) -> None:
    followers = apps.get_model("accounts", "Follower").objects
    numbered = followers.filter(name="numbered").first()
    for name in ("meter", "container-meter"):
        followers.get_or_create(name=name, defaults={"position": numbered.position if numbered else 0})


class Migration(migrations.Migration):
    dependencies = [("billing", "0001_initial")]

    operations = [migrations.RunPython(begin, migrations.RunPython.noop)]
