"""The files that the browser loads, hashed and compressed once into ``var/static``."""

import hashlib
import json
from importlib.metadata import version

from django.conf import settings
from django.contrib.staticfiles.apps import StaticFilesConfig
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command


class StaticFiles(StaticFilesConfig):
    """Django's app, without the admin's files that none of our admin pages loads.

    Select2 belongs to ``autocomplete_fields``, and the admin loads the short forms of jQuery and
    XRegExp. Compressing these files would take most of a first start.
    """

    ignore_patterns = [*StaticFilesConfig.ignore_patterns, "select2", "jquery.js", "xregexp.js"]


def collect() -> None:
    """Collect the files, unless exactly these sources were collected and nothing is missing.

    Collecting replaces files one after the other. A dashboard that runs over the same folder, or is
    about to load it, would miss the file that is being replaced.

    Raises:
        OSError: ``var/static`` cannot be written.
    """
    made_of = settings.STATIC_ROOT / "made-of"
    sources = _digest()
    if _is_whole() and made_of.exists() and made_of.read_bytes() == sources:
        return
    made_of.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, verbosity=0)
    made_of.write_bytes(sources)


def _is_whole() -> bool:
    """Whether the manifest is there, and every hashed file that it names."""
    try:
        names = json.loads((settings.STATIC_ROOT / "staticfiles.json").read_bytes())["paths"]
    except (FileNotFoundError, ValueError):
        return False
    return all((settings.STATIC_ROOT / name).exists() for name in names.values())


def _digest() -> bytes:
    """A digest of every source file and of everything else that the result depends on."""
    digest = hashlib.sha256(
        f"{version('django')} {version('whitenoise')} {settings.STATIC_URL}".encode()
    )
    for finder in get_finders():
        for path, storage in sorted(finder.list(None), key=lambda found: found[0]):
            with storage.open(path) as file:
                digest.update(f"\0{path}\0{file.size}\0".encode())
                digest.update(file.read())
    return digest.hexdigest().encode()
