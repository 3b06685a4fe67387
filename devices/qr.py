"""QR codes as inline SVG: dark on a white card with a quiet zone of four modules, readable in any theme."""

import qrcode
import qrcode.image.svg


def svg(text: str) -> str:
    """An `<svg>` element with the text's QR code; it carries no text, title or label of its own."""
    code = qrcode.QRCode(border=4, error_correction=qrcode.constants.ERROR_CORRECT_M)
    code.add_data(text)
    code.make(fit=True)
    size = len(code.modules) + 2 * code.border
    path = "".join(
        f"M{x + code.border},{y + code.border}h1v1h-1z"
        for y, row in enumerate(code.modules)
        for x, dark in enumerate(row)
        if dark
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0,0h{size}v{size}h-{size}z"/><path fill="#000" d="{path}"/></svg>'
    )
