"""The pages on which tokens are imported, in every state that looks different; `places` knows them too."""

from playwright.sync_api import FilePayload, Page, expect

from devices import queue
from tests.browser.steps import sign_in_with_code
from tests.conftest import Person
from tests.test_import_tokens import line
from tests.test_roles import member


def token_desk(page: Page) -> Person:
    """Tess, who has a box of tokens."""
    tess = member("Token desk", username="tess")
    sign_in_with_code(page, tess)
    page.goto("/admin/")
    page.get_by_role("link", name="Import tokens").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Import tokens")
    return tess


def upload(page: Page, *lines: str) -> None:
    """A file of these lines, as far as its preview."""
    page.goto("/admin/import/")
    content = "\n".join(lines).encode()
    page.get_by_label("Token file").set_input_files(FilePayload(name="tokens.csv", mimeType="text/csv", buffer=content))
    page.get_by_role("button", name="Show the preview").click()


def imported(page: Page, *lines: str) -> None:
    """The file is imported; the page says so by itself."""
    upload(page, *lines)
    page.get_by_role("button", name="Import", exact=False).first.click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    queue.drain("browser")
    expect(page.get_by_text("imported.")).to_be_visible()


def import_form(page: Page) -> None:
    token_desk(page)
    page.get_by_text("The file is encrypted").click()
    expect(page.get_by_label("Passphrase")).to_be_visible()


def import_form_refused(page: Page) -> None:
    token_desk(page)
    upload(page, "serial,key,type,digits,period")
    expect(page.get_by_role("alert")).to_contain_text("no token in the file")


def import_preview(page: Page) -> None:
    token_desk(page)
    upload(page, *(line(number) for number in range(150)), line(200, kind="hotp", last="7"))
    expect(page.get_by_role("button", name="Import 151 rows")).to_be_visible()


def import_preview_refused(page: Page) -> None:
    token_desk(page)
    upload(page, line(1), line(2, last="45"), line(3, "=3"))
    expect(page.get_by_role("alert")).to_contain_text("2 rows are refused")
    expect(page.get_by_text("The period is not 30 or 60 seconds.")).to_be_visible()


def import_preview_known(page: Page) -> None:
    token_desk(page)
    imported(page, line(1), line(2))
    upload(page, line(1), line(3))
    expect(page.get_by_label("Skip these rows", exact=False)).to_be_visible()
    expect(page.get_by_label("Replace the tokens", exact=False)).to_be_visible()


def import_progress(page: Page) -> None:
    token_desk(page)
    upload(page, line(1))
    page.get_by_role("button", name="Import 1 row").click()
    expect(page.get_by_role("progressbar")).to_be_visible()


def import_result(page: Page) -> None:
    token_desk(page)
    imported(page, line(1), line(2))
    upload(page, line(1), line(3))
    page.get_by_label("Skip these rows", exact=False).check()
    page.get_by_role("button", name="Import 2 rows").click()
    queue.drain("browser")
    expect(page.get_by_role("link", name="as CSV", exact=False)).to_be_visible()
    page.get_by_text("Undo this import").click()
    expect(page.get_by_role("button", name="Undo the import")).to_be_visible()


def import_undone(page: Page) -> None:
    token_desk(page)
    imported(page, line(1), line(2))
    page.get_by_text("Undo this import").click()
    page.get_by_role("button", name="Undo the import").click()
    expect(page.get_by_text("This import was undone")).to_be_visible()


def import_failed(page: Page) -> None:
    token_desk(page)
    upload(page, line(1))
    path = page.url
    imported(page, line(1))
    page.goto(path)
    page.get_by_role("button", name="Import 1 row").click()
    queue.drain("browser")
    expect(page.get_by_role("alert")).to_contain_text("did not succeed")


def import_history(page: Page) -> None:
    import_undone(page)
    page.goto("/admin/import/")
    expect(page.get_by_role("heading", name="Earlier imports")).to_be_visible()


PLACES = [
    import_form,
    import_form_refused,
    import_preview,
    import_preview_refused,
    import_preview_known,
    import_progress,
    import_result,
    import_undone,
    import_failed,
    import_history,
]
