"""How many people and devices there are of each sort, day by day."""

from django.db import models


class Count(models.Model):
    """One number of a day (UTC), as it was when it was counted last (`accounts.census`)."""

    day = models.DateField()
    what = models.CharField(max_length=8)  # a key of `census.WHAT`
    of = models.CharField(max_length=12)
    number = models.PositiveBigIntegerField()
    counted_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "what", "of"], name="count_one_each")]

    def __str__(self) -> str:
        return f"{self.day} {self.what} {self.of}: {self.number}"
