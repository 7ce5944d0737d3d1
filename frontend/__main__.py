"""Writes the reduced style sheet and typeface: ``bin/vendor``."""

from __future__ import annotations

from frontend.made import MADE, ROOT

for path, make in MADE.items():
    made = make()
    path.write_bytes(made)
    print(f"{path.relative_to(ROOT)}: {len(made):,} bytes")
