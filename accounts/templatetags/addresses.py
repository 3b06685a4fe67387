"""Template tags that say where something is."""

from django import template

from accounts.views import frame

register = template.Library()
register.simple_tag(frame.address, name="address")
