mkdir -p in/d; echo 1 > in/d/f; ln in/d/f in/h; ln -s d/f in/s; echo w > in/.wh.d; chmod 2750 in/d
pack() { tar --sort=name --owner=5 --group=6 --mtime=@1000000000 -C in "$@" .; }
rm in/.wh.d
pack -cf i.tar; mkdir out; mv i.tar out; tar -C out --sort=name --owner=0 --group=0 --mtime=@0 -cf o.tar .; gzip -kn o.tar; gzip -nc o.tar.gz > o.tar.gz.gz
