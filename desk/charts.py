"""Pictures of figures: SVG without script and style, coloured by classes; everything in them stands in a table too."""

from dataclasses import dataclass

from desk.figures import Figure

WIDTH, HEIGHT = 400, 140  # of the columns; the viewer scales it
ROW, BAR = 34, 12  # of a bar with its name above
COLOURS = 8


@dataclass(frozen=True)
class Part:
    """One rectangle, of the column of that number."""

    x: float
    y: float
    width: float
    height: float
    colour: int


@dataclass(frozen=True)
class Label:
    """One text."""

    x: float
    y: float
    text: str
    anchor: str = "start"


@dataclass(frozen=True)
class Chart:
    """What the template draws."""

    figure: Figure
    width: int
    height: int
    parts: list[Part]
    labels: list[Label]
    legend: list[tuple[int, str]]


def chart(figure: Figure) -> Chart | None:
    """The figure's picture; None where there is nothing to see."""
    if not figure.total:
        return None
    parts, labels, height = by_day(figure) if figure.by_day else by_thing(figure)
    legend = [(number % COLOURS, str(name)) for number, name in enumerate(figure.columns)] if len(figure.columns) > 1 else []
    return Chart(figure, WIDTH, height, parts, labels, legend)


def by_day(figure: Figure) -> tuple[list[Part], list[Label], int]:
    """A column for each day, its parts one above the other."""
    top, base = 20, HEIGHT - 20
    highest = max(sum(numbers) for _day, numbers in figure.rows)
    step = WIDTH / len(figure.rows)
    wide = min(step * 0.8, 40)
    parts = []
    for place, (_day, numbers) in enumerate(figure.rows):
        x, y = step * place + (step - wide) / 2, float(base)
        for colour, number in enumerate(numbers):
            high = number / highest * (base - top)
            y -= high
            if number:
                parts.append(Part(round(x, 2), round(y, 2), round(wide, 2), round(high, 2), colour % COLOURS))
    labels = [Label(0, 13, f"{highest}"), Label(0, HEIGHT - 6, str(figure.rows[0][0]))]
    if len(figure.rows) > 1:
        labels.append(Label(WIDTH, HEIGHT - 6, str(figure.rows[-1][0]), "end"))
    return parts, labels, HEIGHT


def by_thing(figure: Figure) -> tuple[list[Part], list[Label], int]:
    """A bar for each thing below its name, its parts one beside the other."""
    highest = max(sum(numbers) for _name, numbers in figure.rows)
    parts, labels = [], []
    for place, (name, numbers) in enumerate(figure.rows):
        y, x = place * ROW, 0.0
        labels += [Label(0, y + 13, str(name)), Label(WIDTH, y + 13, f"{sum(numbers)}", "end")]
        for colour, number in enumerate(numbers):
            wide = number / highest * WIDTH
            if number:
                parts.append(Part(round(x, 2), y + 18, round(wide, 2), BAR, colour % COLOURS))
            x += wide
    return parts, labels, len(figure.rows) * ROW
