python3 - <<'END'
import tarfile, io
with tarfile.open("a.tar", "w") as t:
    for name, kind in [("null", tarfile.CHRTYPE), ("block", tarfile.BLKTYPE), ("fifo", tarfile.FIFOTYPE)]:
        m = tarfile.TarInfo(name); m.type = kind; m.devmajor, m.devminor = 1, 3; m.mode = 0o620; t.addfile(m)
END
