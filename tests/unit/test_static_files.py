"""Static files are collected once, and never changed under a running dashboard."""

from __future__ import annotations

import json

import pytest

from multica_admin import static_files


@pytest.fixture
def source(settings, tmp_path):
    """One source file beside the project's own; what is collected goes to a folder of its own."""
    folder = tmp_path / "sources"
    folder.mkdir()
    settings.STATICFILES_DIRS = [folder]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATIC_ROOT = tmp_path / "static"
    file = folder / "page.css"
    file.write_text("p { color: red }")
    return file


def collected(root):
    """Each collected file with its inode, which another file in its place does not have."""
    return {path.name: path.stat().st_ino for path in root.rglob("*") if path.is_file()}


def test_a_second_start_touches_nothing_that_the_first_has_collected(source, settings):
    static_files.collect()
    before = collected(settings.STATIC_ROOT)
    assert "staticfiles.json" in before
    static_files.collect()
    assert collected(settings.STATIC_ROOT) == before


def hashed_name(root):
    return json.loads((root / "staticfiles.json").read_text())["paths"]["page.css"]


def test_a_changed_source_is_collected_again(source, settings):
    static_files.collect()
    first = hashed_name(settings.STATIC_ROOT)
    source.write_text("p { color: blue }")
    static_files.collect()
    assert hashed_name(settings.STATIC_ROOT) != first


def test_collecting_that_was_cut_off_is_done_again(source, settings, monkeypatch):
    static_files.collect()
    source.write_text("p { color: blue }")

    def cut_off(*_arguments, **_options):
        raise OSError("No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("multica_admin.static_files.call_command", cut_off)
        with pytest.raises(OSError, match="No space"):
            static_files.collect()
    source.write_text("p { color: red }")
    before = collected(settings.STATIC_ROOT)
    static_files.collect()
    assert collected(settings.STATIC_ROOT) != before


def test_what_somebody_deleted_is_made_again_by_the_next_start(source, settings):
    static_files.collect()
    lost = settings.STATIC_ROOT / hashed_name(settings.STATIC_ROOT)
    lost.unlink()
    static_files.collect()
    assert lost.exists()


def test_only_what_a_page_can_name_is_compressed_and_kept(source, settings):
    static_files.collect()
    names = {
        name.removesuffix(".gz").removesuffix(".br") for name in collected(settings.STATIC_ROOT)
    }
    assert names == {hashed_name(settings.STATIC_ROOT), "staticfiles.json", "made-of"}
