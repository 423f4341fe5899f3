"""The errors that tasks of MapReduce jobs end with."""

from typing import Any

from django.db import migrations

SYSTEM, ALGORITHM, DATA = "SYSTEM", "ALGORITHM", "DATA"
ERRORS = [
    ("program-failed", "The program failed", "It could not be started, or did not end with exit code 0.", ALGORITHM),
    ("program-output", "The program's output cannot be used", "It is not as its protocol says.", ALGORITHM),
    ("input-line", "A line cannot be given to the program", "It is longer than may be, or holds a NUL.", DATA),
    ("input-refused", "The input cannot be had", "It is not there, or its store does not let us.", DATA),
    ("output-refused", "The output may not be written", "Its store does not let us, or is not there.", DATA),
    ("input-unreadable", "The input could not be read", "Its store could not be reached, or failed.", SYSTEM),
    ("output-unwritable", "The output could not be written", "Its store could not be reached, or failed.", SYSTEM),
    ("program-unreadable", "The program could not be fetched", "The storage of artifacts failed.", SYSTEM),
    ("intermediate-lost", "What map tasks have left is gone", "Those tasks run again, and then this one.", SYSTEM),
    ("worker-failed", "The worker failed", "It ended without saying why.", SYSTEM),
]


def add(apps: Any, schema_editor: Any) -> None:
    error = apps.get_model("jobtypes", "Error")
    for name, title, description, category in ERRORS:
        values = {"title": title, "description": description, "category": category}
        values |= {"should_be_retried": category == SYSTEM, "is_builtin": True}
        error.objects.update_or_create(job_type_name="", name=name, defaults=values)


class Migration(migrations.Migration):
    dependencies = [("jobs", "0013_mapreduce_jobs")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
