mkdir -p d/e; echo 1 > f; echo 2 > d/g; (cd d/e && tar --owner=0 --group=0 --mtime=@0 -P -cf ../../a.tar ../../f ./../g); rm -r f d
