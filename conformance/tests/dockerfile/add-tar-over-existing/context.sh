mkdir -p d; echo 1 > d/f; chmod 751 d; tar --owner=5 --group=6 --mtime=@0 -cf a.tar d; rm -r d
