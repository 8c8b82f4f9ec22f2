echo 1 > f; tar --owner=0 --group=0 --mtime=@0 -P --transform "s,^,/abs/," -cf a.tar f; rm f
