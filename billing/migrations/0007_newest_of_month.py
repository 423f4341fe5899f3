"""The newest records of a month are found without reading all of them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_billing_groups")]

    operations = [
        migrations.AddIndex("usagerecord", models.Index(fields=["bill_month", "-id"], name="usage_of_month")),
    ]
