mkdir -p d/e; echo 1 > d/f; tar --owner=5 --group=6 --mtime=@0 -cf a.tar d; rm -r d
