cat > m.py <<'E'
import tarfile,io
t=tarfile.open('a.tar','w')
f=tarfile.TarInfo('f'); f.size=1; t.addfile(f, io.BytesIO(b'x'))
l=tarfile.TarInfo('h'); l.type=tarfile.LNKTYPE; l.linkname='/f'; t.addfile(l)
t.close()
E
python3 m.py
rm m.py
