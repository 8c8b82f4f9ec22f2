mkdir -p in/d; echo 1 > in/d/f; ln in/d/f in/h; ln -s d/f in/s; echo w > in/.wh.d; chmod 2750 in/d
pack() { tar --sort=name --owner=5 --group=6 --mtime=@1000000000 -C in "$@" .; }
rm in/.wh.d
pack -cf a.tar; ln -s a.tar l.tar
