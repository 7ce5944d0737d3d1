"""How an uploaded file is received: in memory, and only so much of it as a report may have."""

from io import BytesIO

from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest

from executions.retirement.callers_report import MOST_BYTES


class BoundedUpload(FileUploadHandler):
    """Keeps one byte more than a report may have, so that a larger file is refused by its size.

    It writes no temporary file, so a read-only disk is no obstacle.
    """

    def __init__(self, request: HttpRequest | None = None) -> None:
        super().__init__(request)
        self.kept = BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Keep the chunk as far as there is room."""
        self.kept.write(raw_data[: max(0, MOST_BYTES + 1 - start)])

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        """The file, or its beginning."""
        size = self.kept.tell()
        self.kept.seek(0)
        return InMemoryUploadedFile(
            self.kept, self.field_name, self.file_name, self.content_type, size, self.charset
        )
