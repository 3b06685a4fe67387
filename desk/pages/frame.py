"""What the pages of the desk share."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render as render_template


def render(request: HttpRequest, template: str, title: Any, *, status: int = 200, **context: Any) -> HttpResponse:
    """The template below `templates/desk/`, in the frame of the admin site."""
    context = {**admin.site.each_context(request), "title": title, **context}
    return render_template(request, f"desk/{template}", context, status=status)
