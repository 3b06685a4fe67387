"""The dashboard: how many have what, and what happened, in pictures and tables."""

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _

from desk.charts import chart
from desk.figures import DAYS, figures
from desk.pages.frame import render
from mfa_site.errors import Reason, Refused


def dashboard(request: HttpRequest) -> HttpResponse:
    """The last 7, 30 or 90 days; Refused MALFORMED for any other number."""
    given = request.GET.get("days", "30")
    if given not in map(str, DAYS):
        raise Refused(Reason.MALFORMED)
    shown = [(figure, chart(figure)) for figure in figures(int(given), timezone.now())]
    return render(request, "dashboard.html", _("Dashboard"), shown=shown, days=int(given), choices=DAYS)
