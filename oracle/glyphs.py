"""Writes assets/glyphs/*.ttf: open fonts, cut down to A-Z, a-z and 0-9.

Needs: fonttools==4.68.0 brotli==1.2.1
Input: a folder with the unpacked npm packages @fontsource/NAME 5.3.0
    (`npm pack @fontsource/NAME`, `tar xzf`, one folder NAME each).

    python oracle/glyphs.py FOLDER

Only fonts without a Reserved Font Name are taken: a cut-down font is a modified
version, which must not carry a reserved name (SIL OFL 1.1, condition 3).
"""

import shutil
import string
import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

FONTS = {
    "inter": 500,
    "eb-garamond": 400,
    "jetbrains-mono": 400,
    "courier-prime": 400,
    "caveat": 700,
    "fredoka": 500,
    "pacifico": 400,
}
TABLES = ["head", "hhea", "maxp", "hmtx", "cmap", "loca", "glyf", "name", "OS/2", "post"]

source = Path(sys.argv[1])
assets = Path(__file__).parent.parent / "assets" / "glyphs"
for name, weight in FONTS.items():
    package = source / name
    licence = (package / "LICENSE").read_text()
    font = TTFont(package / "files" / f"{name}-latin-{weight}-normal.woff2")
    notices = licence.split("-----")[0] + " ".join(str(record) for record in font["name"].names if record.nameID in (0, 13))
    assert "Reserved Font Name" not in notices and "SIL Open Font License" in licence, name

    options = subset.Options(hinting=False, layout_features=[], notdef_outline=False, name_IDs=[0, 1, 2, 13, 14])
    options.drop_tables += [table for table in font.keys() if table not in TABLES and table != "GlyphOrder"]
    subsetter = subset.Subsetter(options)
    subsetter.populate(text=string.ascii_letters + string.digits)
    subsetter.subset(font)
    font.flavor = None
    font["head"].modified = font["head"].created
    font.recalcTimestamp = False
    font.save(assets / f"{name}.ttf")
    shutil.copyfile(package / "LICENSE", assets / f"{name}.LICENSE")
    print(f"{name}: {(assets / f'{name}.ttf').stat().st_size} bytes, {licence.splitlines()[0]}")
