"""A PSKC container's children, one at a time, from XML that nobody has vouched for.

No document type, entities or external files (defusedxml); depth, size and number of elements and attributes are limited while
they arrive; what was read is given away and forgotten, so that memory does not grow with the file.
"""

from collections.abc import Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError  # only to build elements; bytes go through defusedxml

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from devices.seed_files.rows import BadFile, Why

PSKC = "urn:ietf:params:xml:ns:keyprov:pskc"
NAMESPACES = (  # those of RFC 6030, and of what it refers to; names in others are left as they are and mean nothing to us
    PSKC,
    "http://www.w3.org/2000/09/xmldsig#",
    "http://www.w3.org/2001/04/xmlenc#",
    "http://www.w3.org/2009/xmlenc11#",
    "http://www.rsasecurity.com/rsalabs/pkcs/schemas/pkcs-5v2-0#",
)
PREFIXES = {f"{{{name}}}" for name in NAMESPACES}

CHUNK = 2**16
LONGEST_TOKEN = 2**20  # bytes that may go by without an element beginning or ending: a tag, a comment
DEEPEST = 24  # a signed container with certificates has about ten
MOST_ELEMENTS = 500  # in one child of the container
MOST_TEXT = 2**17  # characters in one child of the container: text and attributes


class Target:
    """What the parser calls. `done`: children of the container that are complete and were not fetched yet."""

    def __init__(self) -> None:
        self.done: list[Element] = []
        self.stirred = False
        self._open: list[Element] = []
        self._depth = self._elements = self._text = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._depth, self.stirred = self._depth + 1, True
        if self._depth == 1:
            _check_container(tag, attributes)
            return
        self._elements += 1
        self._text += sum(len(name) + len(value) for name, value in attributes.items())
        self._check()
        element = Element(_local(tag), attributes)
        if self._open:
            self._open[-1].append(element)
        self._open.append(element)

    def data(self, text: str) -> None:
        self.stirred = True
        if not self._open or (len(self._open[-1]) and not text.strip()):
            return
        self._text += len(text)
        self._check()
        self._open[-1].text = (self._open[-1].text or "") + text

    def end(self, tag: str) -> None:
        self._depth, self.stirred = self._depth - 1, True
        if self._open:
            element = self._open.pop()
            if not self._open:
                self.done.append(element)
                self._elements = self._text = 0

    def close(self) -> None:
        """Nothing is left to give."""

    def _check(self) -> None:
        if self._depth > DEEPEST or self._elements > MOST_ELEMENTS or self._text > MOST_TEXT:
            raise BadFile(Why.FILE_TOO_DEEP)


def children(file: BinaryIO) -> Iterator[Element]:
    """The container's children in their order, without namespaces; BadFile for what is no PSKC container, or hostile."""
    target = Target()
    parser = DefusedXMLParser(target=target, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    file.seek(0)
    silent = 0
    try:
        while chunk := file.read(CHUNK):
            target.stirred = False
            parser.feed(chunk)
            silent = 0 if target.stirred else silent + len(chunk)
            if silent > LONGEST_TOKEN:
                raise BadFile(Why.FILE_TOO_DEEP)
            yield from target.done
            target.done.clear()
        parser.close()
    except DefusedXmlException:
        raise BadFile(Why.FILE_DTD) from None
    except (ParseError, ValueError, LookupError):  # LookupError: an encoding that nobody knows
        raise BadFile(Why.FILE_NOT_XML) from None
    yield from target.done


def _local(tag: str) -> str:
    namespace, brace, name = tag.rpartition("}")
    return name if namespace + brace in PREFIXES or not brace else tag


def _check_container(tag: str, attributes: dict[str, str]) -> None:
    if tag != f"{{{PSKC}}}KeyContainer" or attributes.get("Version", "").strip() not in ("1", "1.0"):
        raise BadFile(Why.FILE_NOT_PSKC)
