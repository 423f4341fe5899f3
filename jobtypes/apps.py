from django.apps import AppConfig


class JobTypesConfig(AppConfig):
    name = "jobtypes"
    verbose_name = "Work types"
