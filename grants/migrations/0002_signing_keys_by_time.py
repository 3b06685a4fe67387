import django.utils.timezone
from django.db import migrations, models


def as_before(apps, schema_editor):
    keys = apps.get_model("grants", "SigningKey").objects
    keys.update(signs_from=models.F("created_at"))


class Migration(migrations.Migration):
    dependencies = [("grants", "0001_initial")]

    operations = [
        migrations.RemoveConstraint(model_name="signingkey", name="one_current_signing_key"),
        migrations.RemoveField(model_name="signingkey", name="is_current"),
        migrations.AddField(
            model_name="signingkey",
            name="signs_from",
            field=models.DateTimeField(default=django.utils.timezone.now),
        ),
        migrations.RunPython(as_before, migrations.RunPython.noop),
    ]
