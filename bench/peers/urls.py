"""The addresses of what we compare with."""

from django.urls import include, path

urlpatterns = [
    path("_allauth/", include("allauth.headless.urls")),
    path("o/", include("oauth2_provider.urls")),
]
