echo out > out
tar -P --owner 0 --group 0 --mtime @0 --transform 's,^out,x/../y/../out,' -cf a.tar out
rm out
