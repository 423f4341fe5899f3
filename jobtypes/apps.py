from django.apps import AppConfig


class JobTypesConfig(AppConfig):
    name = "jobtypes"
