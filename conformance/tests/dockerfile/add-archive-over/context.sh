mkdir -p in/d; echo 1 > in/d/f; echo 2 > in/g; ln -s d/f in/l; ln in/g in/h; chmod 700 in/d; chmod 640 in/g
pack() { tar --sort=name --owner=5 --group=6 -C in "$@" .; }
pack -cf a.tar; mkdir -p old/g old/l; echo old > old/d; echo x > old/g/x; echo y > old/l/y
