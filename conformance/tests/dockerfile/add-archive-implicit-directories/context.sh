python3 - <<'END'
import tarfile, io
with tarfile.open("a.tar", "w") as t:
    m = tarfile.TarInfo("a/b/c"); m.size = 1; m.uid = 5; m.gid = 6; m.mode = 0o600; t.addfile(m, io.BytesIO(b"x"))
END
