"""The files that the browser loads, hashed and compressed once into ``var/static``."""

from __future__ import annotations

import hashlib
from importlib.metadata import version

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command


def collect() -> None:
    """Collect the files, unless they were already made from exactly these sources.

    Collecting replaces files one after the other. A dashboard that runs over the same folder, or is
    about to load it, would miss the file that is being replaced.

    Raises:
        OSError: ``var/static`` cannot be written.
    """
    made_of = settings.STATIC_ROOT / "made-of"
    sources = _digest()
    try:
        if made_of.read_text("ascii") == sources:
            return
    except FileNotFoundError:
        pass
    made_of.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    made_of.write_text(sources, "ascii")


def _digest() -> str:
    """A digest of every source file and of everything else that the result depends on."""
    digest = hashlib.sha256(
        f"{version('django')} {version('whitenoise')} {settings.STATIC_URL}".encode()
    )
    for finder in get_finders():
        for path, storage in sorted(finder.list(None), key=lambda found: found[0]):
            with storage.open(path) as file:
                digest.update(f"\0{path}\0{file.size}\0".encode())
                digest.update(file.read())
    return digest.hexdigest()
