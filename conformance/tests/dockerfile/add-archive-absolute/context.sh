cat > m.py <<'E'
import tarfile,io
t=tarfile.open('a.tar','w')
f=tarfile.TarInfo('/etc/absolute'); f.size=1; t.addfile(f, io.BytesIO(b'x'))
t.close()
E
python3 m.py
rm m.py
