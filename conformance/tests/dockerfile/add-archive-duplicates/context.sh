python3 - <<'END'
import tarfile, io
with tarfile.open("a.tar", "w") as t:
    for text in [b"1", b"2"]:
        m = tarfile.TarInfo("f"); m.size = 1; t.addfile(m, io.BytesIO(text))
    m = tarfile.TarInfo("d"); m.size = 1; t.addfile(m, io.BytesIO(b"x"))
    m = tarfile.TarInfo("d"); m.type = tarfile.DIRTYPE; m.mode = 0o700; t.addfile(m)
END
